//! Samples as a picture: SVG, drawn by hand, because it is four lines over time.

use std::fmt::Write as _;

use crate::sample::Sample;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 70.0;
const GAP: f64 = 50.0;

/// A line of the picture: what it is, and how it is had.
type Line<'a> = (&'a str, &'a dyn Fn(&Sample) -> f64);

/// Memory, descriptors and threads, and what was done meanwhile.
pub(crate) fn svg(samples: &[Sample]) -> String {
    let panels: [(&str, Vec<Line<'_>>); 4] = [
        ("memory in MiB", vec![("resident", &|s| s.rss / 1024.0), ("anonymous", &|s| s.anonymous / 1024.0)]),
        ("descriptors and threads", vec![("descriptors", &|s| s.descriptors), ("threads", &|s| s.threads)]),
        ("state directory in KiB", vec![("state", &|s| s.state)]),
        ("polls, in thousands", vec![("polls", &|s| s.polls / 1000.0), ("failed", &|s| s.failed / 1000.0)]),
    ];
    let all = GAP + panels.len() as f64 * (HEIGHT + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {all}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        LEFT + WIDTH + 40.0
    );
    let end = samples.last().map_or(1.0, |sample| sample.at / 60.0).max(0.01);
    for (number, (title, lines)) in panels.iter().enumerate() {
        let top = GAP + number as f64 * (HEIGHT + GAP);
        panel(&mut svg, top, title, lines, samples, end);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, top: f64, title: &str, lines: &[Line<'_>], samples: &[Sample], end: f64) {
    let values = lines.iter().flat_map(|(_, of)| samples.iter().map(of));
    let most = nice(values.fold(1.0, f64::max));
    let (bottom, right) = (top + HEIGHT, LEFT + WIDTH);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{title}</text>", top - 8.0);
    for step in 0..=2 {
        let (share, y) = (f64::from(step) / 2.0, bottom - HEIGHT * f64::from(step) / 2.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y}H{right}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            most * share
        );
        let x = LEFT + WIDTH * share;
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{:.1} min</text>",
            bottom + 15.0,
            end * share
        );
    }
    // One point for each half pixel is enough.
    let thin = samples.len().div_ceil(2 * WIDTH as usize).max(1);
    for (index, (name, of)) in lines.iter().enumerate() {
        let colour = ["#1f5fa8", "#c7621b"][index % 2];
        let points: Vec<String> = samples
            .iter()
            .step_by(thin)
            .map(|sample| {
                let x = LEFT + WIDTH * (sample.at / 60.0 / end);
                format!("{x:.1},{:.1}", bottom - HEIGHT * of(sample) / most)
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
            points.join(" "),
            right - 90.0 * index as f64,
            top - 8.0
        );
    }
}

/// The next 1, 2, 4, 5 or 8 with zeros.
fn nice(value: f64) -> f64 {
    let zeros = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * zeros).find(|step| *step >= value).unwrap_or(value)
}
