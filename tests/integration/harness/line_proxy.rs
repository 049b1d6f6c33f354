//! A proxy on loopback that breaks what passes through it, in front of a server that speaks lines.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::faults::{Break, Faults};
use super::proxy::closed;

/// The proxy.
#[derive(Clone)]
pub(crate) struct LineProxy {
    /// Where it listens.
    pub(crate) port: u16,
    /// What it breaks.
    pub(crate) faults: Faults,
    upstream: u16,
    sends: &'static str,
    revoked: &'static str,
}

/// The server's side of a connection.
type Server = (BufReader<OwnedReadHalf>, OwnedWriteHalf);

impl LineProxy {
    /// Starts one in front of a port. What is sent begins with `sends`; who has a wrong secret is told
    /// `revoked`.
    pub(crate) async fn start(upstream: u16, sends: &'static str, revoked: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let proxy = Self {
            port: listener.local_addr().expect("its address").port(),
            faults: Faults::default(),
            upstream,
            sends,
            revoked,
        };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = serving.clone();
                tokio::spawn(async move { proxy.serve(stream).await });
            }
        });
        proxy
    }

    async fn serve(&self, mut client: TcpStream) {
        if let Some(how) = self.faults.receiving().filter(|how| how.ends()) {
            self.faults.meet();
            return match how {
                Break::Hang | Break::HalfOpen => closed(&mut client).await,
                Break::Revoked => {
                    let mut line = String::new();
                    let (read, mut write) = client.split();
                    // It is refused for what it says.
                    let _ = BufReader::new(read).read_line(&mut line).await;
                    let _ = write.write_all(self.revoked.as_bytes()).await;
                }
                _ => {}
            };
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream)).await else {
            return;
        };
        let _receiving = self.faults.begin();
        let (read, write) = server.into_split();
        self.pass(client, (BufReader::new(read), write)).await;
    }

    /// Passes lines on until one side ends, or it is broken.
    async fn pass(&self, client: TcpStream, (mut from, mut to): Server) {
        let (read, mut write) = client.into_split();
        let mut read = BufReader::new(read);
        // What was read of a line stays where it is when the other side is faster.
        let (mut up, mut down) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                how = self.faults.broken() => {
                    if how == Break::CloseMidBody {
                        let _ = write.write_all(b":irc.test NOTI").await;
                    }
                    if matches!(how, Break::Hang | Break::HalfOpen) {
                        until_closed(read).await;
                    }
                    return;
                }
                count = read.read_until(b'\n', &mut up) => {
                    if !matches!(count, Ok(1..)) {
                        return;
                    }
                    self.faults.beat();
                    let line = std::mem::take(&mut up);
                    let how = line.starts_with(self.sends.as_bytes()).then(|| self.faults.next_send());
                    if let Some(how) = how.flatten() {
                        return self.broken_send(how, &line, (read, write), (from, to)).await;
                    }
                    if to.write_all(&line).await.is_err() {
                        return;
                    }
                }
                count = from.read_until(b'\n', &mut down) => {
                    if !matches!(count, Ok(1..)) {
                        return;
                    }
                    let line = std::mem::take(&mut down);
                    let dribbles = self.faults.receiving() == Some(Break::Dribble);
                    let size = if dribbles { 1 } else { line.len() };
                    for part in line.chunks(size) {
                        if write.write_all(part).await.is_err() {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    /// A line that is sent meets a fault, and so does the connection.
    async fn broken_send(
        &self,
        how: Break,
        line: &[u8],
        (read, mut client): (BufReader<OwnedReadHalf>, OwnedWriteHalf),
        (mut from, mut to): Server,
    ) {
        if matches!(how, Break::HalfOpen | Break::CloseMidBody) {
            let _ = to.write_all(line).await;
            // What the server has when it answers a ping, it has read.
            let _ = to.write_all(b"PING :passed-on\r\n").await;
            let mut answer = Vec::new();
            while matches!(from.read_until(b'\n', &mut answer).await, Ok(1..)) {
                if answer.ends_with(b"passed-on\r\n") {
                    break;
                }
                answer.clear();
            }
        }
        self.faults.hold();
        match how {
            Break::Hang | Break::HalfOpen => until_closed(read).await,
            Break::CloseMidBody => {
                let _ = client.write_all(b":irc.test PON").await;
            }
            _ => {}
        }
    }
}

async fn until_closed(mut read: BufReader<OwnedReadHalf>) {
    let mut rest = [0; 64];
    while read.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}
