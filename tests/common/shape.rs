//! A `vstream shape` between two sockets, and its API.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use super::{LIMIT, Vstream, vstream};

pub const API: [&str; 2] = ["--http", "127.0.0.1:0"];

/// A shaper before this target; itself and its address.
pub fn shape(to: &str, args: &[&str]) -> (Vstream, String) {
    let base = ["shape", "--listen", "127.0.0.1:0", "--to", to, "--stats", "json", "--seed", "1"];
    let mut shape = vstream(&[&base[..], &API, args].concat());
    let url = shape.listening();
    (shape, url.split("://").nth(1).unwrap().to_string())
}

pub fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// A client through the proxy, and the target's end of it.
pub fn pair(args: &[&str]) -> (Vstream, TcpStream, TcpStream) {
    let (listener, to) = listener();
    let (shape, address) = shape(&to, args);
    let client = connect(&address);
    let target = listener.accept().unwrap().0;
    target.set_read_timeout(Some(LIMIT)).unwrap();
    (shape, client, target)
}

pub fn udp(args: &[&str]) -> (Vstream, UdpSocket, UdpSocket) {
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    };
    let (client, target) = (socket(), socket());
    let to = target.local_addr().unwrap().to_string();
    let (shape, address) = shape(&to, &[&["--udp"], args].concat());
    client.connect(address).unwrap();
    (shape, client, target)
}

pub fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// One HTTP request; the body of the answer and its status.
pub fn ask(api: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = connect(api);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}
