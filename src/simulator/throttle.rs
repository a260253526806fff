//! ARM's read throttle: a bucket of tokens per subscription, principal and region that refills
//! steadily (250 tokens and 25 a second in public documentation).

use std::time::Instant;

/// A bucket of tokens; each read takes one.
#[derive(Debug, Clone)]
pub struct Throttle {
    capacity: f64,
    per_second: f64,
    level: f64,
    at: Option<Instant>,
}

impl Throttle {
    /// A full bucket. Both numbers count as at least 1.
    #[must_use]
    pub fn new(capacity: u32, per_second: u32) -> Self {
        let capacity = f64::from(capacity.max(1));
        Self { capacity, per_second: f64::from(per_second.max(1)), level: capacity, at: None }
    }

    /// The documented limits of ARM.
    #[must_use]
    pub fn arm() -> Self {
        Self::new(250, 25)
    }

    /// Takes a token: what is left of them, or the whole seconds to wait for one.
    pub(super) fn take(&mut self, now: Instant) -> Result<u32, u32> {
        if let Some(before) = self.at {
            let gained = now.saturating_duration_since(before).as_secs_f64() * self.per_second;
            self.level = (self.level + gained).min(self.capacity);
        }
        self.at = Some(now);
        if self.level < 1.0 {
            // Below 1 and above 0, divided by at least 1: fits.
            return Err(((1.0 - self.level) / self.per_second).ceil().max(1.0) as u32);
        }
        self.level -= 1.0;
        Ok(self.level as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn empties_and_refills() {
        let start = Instant::now();
        let mut throttle = Throttle::new(2, 1);
        assert_eq!(throttle.take(start), Ok(1));
        assert_eq!(throttle.take(start), Ok(0));
        assert_eq!(throttle.take(start), Err(1));
        assert_eq!(throttle.take(start + Duration::from_secs(1)), Ok(0));
        assert_eq!(throttle.take(start + Duration::from_secs(100)), Ok(1), "never more than the capacity");
    }
}
