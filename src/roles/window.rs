pub fn run(_r: &std::sync::Arc<super::recv::Receiver>, _w: &str) {}
