//! `recvmmsg` and `sendmmsg`: many datagrams a system call, each answered from the address that it
//! was sent to.
//!
//! System calls are what a DNS answer costs; no safe crate offers both calls with a source address
//! per message. This module is the only unsafe code of the room: fixed buffers, allocated once,
//! and the two calls around them.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams a call.
pub(super) const BATCH: usize = 64;

/// The largest query taken; EDNS queries with options stay far below.
const QUERY: usize = 4096;

/// Room for an `IP_PKTINFO` or `IPV6_PKTINFO` message, aligned as `cmsghdr` wants, beside the time
/// stamps and counts that a socket from systemd may bring along.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 128]);

/// Buffers for a batch of datagrams.
pub(super) struct Batch {
    queries: Box<[[u8; QUERY]]>,
    addresses: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// Which received datagrams are answered, in this order.
    answered: Vec<usize>,
    /// Headers, vectors and control messages of the outgoing datagrams.
    replies: Box<[libc::mmsghdr]>,
    reply_vectors: Box<[libc::iovec]>,
    reply_controls: Box<[Control]>,
}

impl Batch {
    /// Empty buffers.
    pub(super) fn new() -> Self {
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: all-zero is a valid value of these plain C structures.
        let (address, header): (libc::sockaddr_storage, libc::mmsghdr) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        Self {
            queries: vec![[0; QUERY]; BATCH].into(),
            addresses: vec![address; BATCH].into(),
            controls: vec![Control([0; 128]); BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            headers: vec![header; BATCH].into(),
            answered: Vec::with_capacity(BATCH),
            replies: vec![header; BATCH].into(),
            reply_vectors: vec![vector; BATCH].into(),
            reply_controls: vec![Control([0; 128]); BATCH].into(),
        }
    }

    /// Waits for at least one datagram and takes what is there; returns how many.
    ///
    /// # Errors
    /// Those of `recvmmsg`; `WouldBlock` after the socket's receive timeout.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for i in 0..BATCH {
            self.vectors[i] = libc::iovec { iov_base: self.queries[i].as_mut_ptr().cast(), iov_len: QUERY };
            let header = &mut self.headers[i].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.addresses[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[i];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[i].0.as_mut_ptr().cast();
            header.msg_controllen = self.controls[i].0.len() as _;
            header.msg_flags = 0;
        }
        self.answered.clear();
        // SAFETY: every header points to buffers of this value with their true lengths, and the
        // kernel is given exactly as many headers as there are.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// The sender and the content of received datagram `i`; nothing for one that was too long or
    /// came from an address family that is not IP.
    pub(super) fn query(&self, i: usize) -> Option<(SocketAddr, &[u8])> {
        let header = &self.headers[i];
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let content = self.queries[i].get(..header.msg_len as usize)?;
        Some((socket_address(&self.addresses[i])?, content))
    }

    /// Where datagram `i` came from, for an answer that is not part of the batch.
    pub(super) fn origin(&self, i: usize) -> Option<Origin> {
        let header = &self.headers[i].msg_hdr;
        Some(Origin { client: socket_address(&self.addresses[i])?, destination: destination(header) })
    }

    /// Addresses the next outgoing datagram to the sender of datagram `i`, from the address that
    /// it was sent to.
    pub(super) fn reply(&mut self, i: usize) {
        self.answered.push(i);
    }

    /// Sends the outgoing datagrams; `answers[k]` is the content of the k-th one addressed. Returns
    /// how many the system took; what it refuses is dropped, as any datagram may be.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, answers: &[Vec<u8>]) -> usize {
        let count = self.answered.len().min(answers.len()).min(BATCH);
        for (k, (&i, answer)) in self.answered.iter().zip(answers).enumerate().take(count) {
            let from = &self.headers[i].msg_hdr;
            // The kernel only reads through this pointer.
            self.reply_vectors[k] =
                libc::iovec { iov_base: answer.as_ptr().cast_mut().cast(), iov_len: answer.len() };
            let control = destination(from).map_or(0, |info| info.write(&mut self.reply_controls[k]));
            let reply = &mut self.replies[k].msg_hdr;
            reply.msg_name = ptr::from_mut(&mut self.addresses[i]).cast();
            reply.msg_namelen = from.msg_namelen;
            reply.msg_iov = &raw mut self.reply_vectors[k];
            reply.msg_iovlen = 1;
            reply.msg_control = match control {
                0 => ptr::null_mut(),
                _ => self.reply_controls[k].0.as_mut_ptr().cast(),
            };
            reply.msg_controllen = control as _;
            reply.msg_flags = 0;
        }
        self.answered.clear();
        let (mut done, mut sent) = (0, 0);
        while let Some(rest) = self.replies.get_mut(done..count).filter(|rest| !rest.is_empty()) {
            // SAFETY: the headers of `rest` point to vectors, addresses and control buffers of this
            // value and to `answers`, all borrowed for the length of the call.
            let n = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            };
            match usize::try_from(n) {
                Ok(n @ 1..) => (done, sent) = (done + n, sent + n),
                // The interface takes nothing for the socket's timeout; the next queries wait.
                _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => break,
                // The first one failed: leave it out and go on.
                _ => done += 1,
            }
        }
        sent
    }
}

/// Where a datagram came from, and which address it was sent to.
pub(super) struct Origin {
    client: SocketAddr,
    destination: Option<Destination>,
}

impl Origin {
    /// Sends an answer, without waiting for room in the socket's buffer.
    ///
    /// # Errors
    /// Those of `sendmsg`.
    pub(super) fn send(&self, socket: BorrowedFd<'_>, answer: &[u8]) -> io::Result<()> {
        let mut control = Control([0; 128]);
        let length = self.destination.map_or(0, |destination| destination.write(&mut control));
        let client = socket2::SockAddr::from(self.client);
        let mut vector = libc::iovec { iov_base: answer.as_ptr().cast_mut().cast(), iov_len: answer.len() };
        // SAFETY: all-zero is a valid value of this plain C structure.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_name = client.as_ptr().cast_mut().cast();
        header.msg_namelen = client.len();
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        if length > 0 {
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = length as _;
        }
        // SAFETY: the header points to values of this function that the kernel only reads.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The address that a datagram was sent to, as the kernel tells it and takes it as a source.
#[derive(Clone, Copy)]
enum Destination {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// Finds a received datagram's destination among its control messages; a socket that was passed to
/// us may have more of them.
fn destination(header: &libc::msghdr) -> Option<Destination> {
    // SAFETY: the kernel has filled the control buffer that the header points to, and set its
    // length to what it wrote; the buffer lives as long as the header's batch.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so a whole `cmsghdr` lies within the buffer.
        let cmsg = unsafe { &*message };
        // SAFETY: only the address is computed here.
        let data = unsafe { libc::CMSG_DATA(message) };
        let holds = |size: usize| {
            // SAFETY: plain arithmetic.
            let length = unsafe { libc::CMSG_LEN(size as libc::c_uint) };
            cmsg.cmsg_len as usize >= length as usize
        };
        match (cmsg.cmsg_level, cmsg.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds(size_of::<libc::in_pktinfo>()) => {
                // SAFETY: the kernel says that so many octets of this structure follow.
                let mut info: libc::in_pktinfo = unsafe { ptr::read_unaligned(data.cast()) };
                // Leaves the way out to the routing table: only the source address is wanted.
                info.ipi_ifindex = 0;
                return Some(Destination::V4(info));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(size_of::<libc::in6_pktinfo>()) => {
                // SAFETY: as above.
                let mut info: libc::in6_pktinfo = unsafe { ptr::read_unaligned(data.cast()) };
                // A link-local address means nothing without its interface.
                if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                    info.ipi6_ifindex = 0;
                }
                return Some(Destination::V6(info));
            }
            _ => {}
        }
        // SAFETY: as for the first one.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

impl Destination {
    /// Writes the control message that makes the address the source; returns its length.
    fn write(self, control: &mut Control) -> usize {
        match self {
            Self::V4(info) => write_control(control, libc::IPPROTO_IP, libc::IP_PKTINFO, info),
            Self::V6(info) => write_control(control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info),
        }
    }
}

/// Writes one control message; returns the octets that it takes.
fn write_control<T: Copy>(control: &mut Control, level: libc::c_int, kind: libc::c_int, data: T) -> usize {
    const { assert!(size_of::<libc::cmsghdr>() + size_of::<T>() + 16 <= size_of::<Control>()) };
    let size = size_of::<T>() as libc::c_uint;
    *control = Control([0; 128]);
    let message = control.0.as_mut_ptr().cast::<libc::cmsghdr>();
    // SAFETY: the buffer is aligned for a `cmsghdr`, all zero is one, and by the assertion above the
    // data fits behind it.
    unsafe {
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(size) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast::<T>(), data);
        libc::CMSG_SPACE(size) as usize
    }
}

/// Reads a socket address that the kernel wrote.
fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a `sockaddr_in`.
            let v4 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a `sockaddr_in6`.
            let v6 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Asks the kernel to tell each datagram's destination address.
///
/// # Errors
/// Those of `setsockopt`.
pub(super) fn tell_destination(socket: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    let (level, option) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int, whose address and size are given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        socket
    }

    /// Receives `count` datagrams and sends each back to where it came from.
    fn echo(server: &UdpSocket, count: usize) -> usize {
        answer(server, count, <[u8]>::to_vec)
    }

    /// Receives `count` datagrams and answers each; returns how many answers were sent.
    fn answer(server: &UdpSocket, count: usize, make: impl Fn(&[u8]) -> Vec<u8>) -> usize {
        let mut batch = Batch::new();
        let mut seen = 0;
        let mut sent = 0;
        while seen < count {
            let received = batch.receive(server.as_fd()).expect("datagrams");
            let mut answers = Vec::new();
            for i in 0..received {
                if let Some((_, query)) = batch.query(i) {
                    answers.push(make(query));
                    batch.reply(i);
                }
            }
            sent += batch.send(server.as_fd(), &answers);
            seen += received;
        }
        sent
    }

    #[test]
    fn each_datagram_goes_back_to_its_sender_with_its_content() {
        let server = socket("127.0.0.1:0");
        let clients: Vec<UdpSocket> = (0..3 * BATCH).map(|_| socket("127.0.0.1:0")).collect();
        for (i, client) in clients.iter().enumerate() {
            let address = server.local_addr().expect("an address");
            client.send_to(format!("query {i}").as_bytes(), address).expect("sent");
        }
        assert_eq!(echo(&server, clients.len()), clients.len());
        for (i, client) in clients.iter().enumerate() {
            let mut buffer = [0; 32];
            let length = client.recv(&mut buffer).expect("an answer");
            assert_eq!(buffer[..length], *format!("query {i}").as_bytes());
        }
    }

    #[test]
    fn datagrams_of_any_length_are_taken_and_too_long_ones_skipped() {
        let (server, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        client.connect(server.local_addr().expect("an address")).expect("connected");
        for length in [0, 1, QUERY, QUERY + 1, 60_000, 2] {
            client.send(&vec![7; length]).expect("sent");
        }
        assert_eq!(echo(&server, 6), 4);
        let mut buffer = [0; 2 * QUERY];
        let lengths: Vec<_> = (0..4).map(|_| client.recv(&mut buffer).expect("an answer")).collect();
        assert_eq!(lengths, [0, 1, QUERY, 2]);
    }

    #[test]
    fn what_the_system_refuses_does_not_hold_up_the_rest() {
        let (server, good) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        for text in ["one", "two", "three"] {
            good.send_to(text.as_bytes(), server.local_addr().expect("an address")).expect("sent");
        }
        // Longer than any datagram may be.
        let make = |query: &[u8]| if query == b"two" { vec![0; 70_000] } else { query.to_vec() };
        assert_eq!(answer(&server, 3, make), 2);
        let mut buffer = [0; 16];
        for text in ["one", "three"] {
            let length = good.recv(&mut buffer).expect("an answer");
            assert_eq!(buffer[..length], *text.as_bytes());
        }
    }

    #[test]
    fn the_destination_is_found_among_other_control_messages() {
        let server = socket("0.0.0.0:0");
        tell_destination(server.as_fd(), false).expect("packet information");
        let on: libc::c_int = 1;
        // SAFETY: the option takes an int, whose address and size are given.
        let result = unsafe {
            libc::setsockopt(
                server.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMP,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        assert_eq!(result, 0);
        let client = socket("127.0.0.1:0");
        let asked = SocketAddr::from(([127, 0, 0, 2], server.local_addr().expect("an address").port()));
        client.send_to(b"query", asked).expect("sent");
        assert_eq!(echo(&server, 1), 1);
        let (_, from) = client.recv_from(&mut [0; 16]).expect("an answer");
        assert_eq!(from, asked);
    }

    #[test]
    fn only_link_local_destinations_keep_their_interface() {
        let told = |address: &str| {
            let address: Ipv6Addr = address.parse().expect("an address");
            // SAFETY: all-zero is a valid value of these plain C structures.
            let (mut info, mut header): (libc::in6_pktinfo, libc::msghdr) =
                unsafe { (mem::zeroed(), mem::zeroed()) };
            info.ipi6_addr.s6_addr = address.octets();
            info.ipi6_ifindex = 3;
            let mut control = Control([0; 128]);
            header.msg_controllen =
                write_control(&mut control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info) as _;
            header.msg_control = control.0.as_mut_ptr().cast();
            match destination(&header) {
                Some(Destination::V6(info)) => {
                    (info.ipi6_addr.s6_addr == address.octets(), info.ipi6_ifindex)
                }
                _ => (false, 0),
            }
        };
        assert_eq!(told("fe80::1"), (true, 3));
        assert_eq!(told("2001:db8::1"), (true, 0));
        assert_eq!(told("::ffff:192.0.2.1"), (true, 0));
    }
}
