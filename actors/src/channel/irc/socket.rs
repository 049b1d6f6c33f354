//! The one socket of an account: opened, read, written and dropped here.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::IrcSetup;
use super::session::{Effect, Session};
use crate::channel::provider::link::Refused;
use crate::channel::{ChannelError, Inbound, Link, Piece, SendFailure};

/// How long a connection may take to be opened, and one line to be written.
const LIMIT: Duration = Duration::from_secs(20);
/// Most bytes of a line, tags included; servers send at most 8,191 and 512.
const LONGEST: usize = 16 * 1024;
/// Most messages that wait to be stored; the socket is not read at more, so that the server keeps them.
const HELD: usize = 200;
/// How long what was read may take to be stored after the connection's end.
const LAST: Duration = Duration::from_mins(1);

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A piece on its way to the socket.
pub(super) struct Job {
    /// It.
    pub(super) piece: Piece,
    /// Set before its first line is written.
    pub(super) begun: Rc<Cell<bool>>,
    /// Told of its end.
    pub(super) done: oneshot::Sender<Result<String, SendFailure>>,
}

/// Connects and works until that fails.
pub(super) async fn run(
    setup: &IrcSetup,
    link: &Link,
    jobs: &mut mpsc::Receiver<Job>,
) -> ChannelError {
    let stream = match timeout(LIMIT, open(setup)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return ChannelError::Transient(format!(
                "the IRC server {}:{} cannot be reached: {error}",
                setup.host, setup.port
            ));
        }
        Err(_) => {
            return ChannelError::Transient(format!(
                "the IRC server {}:{} does not answer",
                setup.host, setup.port
            ));
        }
    };
    link.alive();
    let base = uuid::Uuid::new_v4().simple().to_string();
    let start = Instant::now();
    let mut wire = Wire {
        stream,
        link,
        start,
        session: Session::new(setup, base, Duration::ZERO),
        job: None,
        held: VecDeque::new(),
        buffer: BytesMut::with_capacity(2 * 1024),
    };
    match wire.work(jobs).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn open(setup: &IrcSetup) -> io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((setup.host.as_str(), setup.port)).await?;
    tcp.set_nodelay(true)?;
    if !setup.tls {
        return Ok(Box::new(tcp));
    }
    let config = ClientConfig::with_platform_verifier().map_err(io::Error::other)?;
    let name = ServerName::try_from(setup.host.clone()).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    Ok(Box::new(tls))
}

/// Messages on their way to the disk.
type Taking<'a> = Pin<Box<dyn Future<Output = Taken> + 'a>>;
/// Whether they are there; given back where not.
type Taken = Result<(), (Vec<Inbound>, Refused)>;

struct Wire<'a> {
    stream: Box<dyn Stream>,
    link: &'a Link,
    start: Instant,
    session: Session<'a>,
    job: Option<Job>,
    held: VecDeque<Inbound>,
    buffer: BytesMut,
}

impl<'a> Wire<'a> {
    /// Works until that fails. The server keeps nothing: what was read is stored also then.
    async fn work(
        &mut self,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> Result<std::convert::Infallible, ChannelError> {
        let mut taking = None;
        let ended = self.serve(jobs, &mut taking).await;
        // Nothing is sent any more, which whoever waits for it is told at once.
        self.job = None;
        jobs.close();
        while jobs.try_recv().is_ok() {}
        let storing = async {
            if let Some(taking) = taking.take()
                && let Err((batch, _)) = taking.await
            {
                self.give_back(batch);
            }
            let left: Vec<Inbound> = self.held.drain(..).collect();
            if !left.is_empty() {
                self.link.take(left, None).await?;
            }
            Ok::<(), Refused>(())
        };
        match timeout(LAST, storing).await {
            Ok(Ok(())) => {}
            Ok(Err(refused)) => {
                tracing::error!(error = %refused, "messages of IRC that were read are lost");
            }
            Err(_) => {
                tracing::error!(
                    "messages of IRC that were read are lost: too many wait for their answer"
                );
            }
        }
        ended
    }

    /// Messages that were not stored come before those that followed.
    fn give_back(&mut self, batch: Vec<Inbound>) {
        for message in batch.into_iter().rev() {
            self.held.push_front(message);
        }
    }

    async fn serve(
        &mut self,
        jobs: &mut mpsc::Receiver<Job>,
        taking: &mut Option<Taking<'a>>,
    ) -> Result<std::convert::Infallible, ChannelError> {
        let link = self.link;
        loop {
            if taking.is_none() && !self.held.is_empty() {
                let batch: Vec<Inbound> = self.held.drain(..).collect();
                *taking = Some(Box::pin(async move {
                    let taken = link.take(batch.clone(), None).await;
                    taken.map_err(|refused| (batch, refused))
                }));
            }
            let is_deaf = self.held.len() >= HELD;
            // Who waited for the piece gave up: it is unknown, and its other lines are not written.
            if self.job.as_ref().is_some_and(|job| job.done.is_closed()) {
                self.job = None;
                self.session.abandon();
            }
            self.flush().await?;
            let wake = self.start + self.session.wake();
            tokio::select! {
                biased;
                taken = finished(taking) => {
                    *taking = None;
                    if is_deaf {
                        self.session.deaf(self.start.elapsed());
                    }
                    if let Err((batch, refused)) = taken {
                        self.give_back(batch);
                        return Err(refused.into());
                    }
                }
                read = self.stream.read_buf(&mut self.buffer), if !is_deaf => {
                    let read = read.map_err(|error| lost(&error))?;
                    if read == 0 {
                        return Err(ChannelError::Transient("the IRC server closed the connection".into()));
                    }
                    self.link.alive();
                    self.lines()?;
                }
                job = jobs.recv(), if self.session.is_free() => match job {
                    Some(job) => self.begin(job),
                    // Only this loop holds the other end for good.
                    None => pending().await,
                },
                () = sleep_until(wake) => {
                    if is_deaf {
                        self.session.deaf(self.start.elapsed());
                    }
                    let effects = self.session.tick(self.start.elapsed());
                    self.apply(effects)?;
                }
            }
        }
    }

    fn begin(&mut self, job: Job) {
        // Who waited for it gave up, and was told that it was not sent.
        if job.done.is_closed() {
            return;
        }
        match self.session.send(&job.piece) {
            Ok(()) => self.job = Some(job),
            Err(failure) => {
                let _ = job.done.send(Err(failure));
            }
        }
    }

    /// Writes what may be written now.
    async fn flush(&mut self) -> Result<(), ChannelError> {
        while let Some(line) = self.session.due(self.start.elapsed()) {
            if self.session.has_begun()
                && let Some(job) = &self.job
            {
                if job.done.is_closed() && !job.begun.get() {
                    // It was given up while lines of ours were written before it.
                    self.job = None;
                    self.session.abandon();
                    continue;
                }
                job.begun.set(true);
            }
            let written = timeout(LIMIT, self.put(&line)).await;
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(lost(&error)),
                Err(_) => {
                    return Err(ChannelError::Transient(
                        "the IRC server does not read what it is sent".into(),
                    ));
                }
            }
        }
        Ok(())
    }

    async fn put(&mut self, line: &str) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(line.len() + 2);
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// Takes every whole line of what was read.
    fn lines(&mut self) -> Result<(), ChannelError> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let bytes = self.buffer.split_to(end);
            self.buffer.advance(1);
            let line = String::from_utf8_lossy(&bytes);
            let at = self.link.now().get();
            let effects =
                (self.session).line(line.trim_end_matches('\r'), self.start.elapsed(), at);
            self.apply(effects)?;
        }
        if self.buffer.len() > LONGEST {
            return Err(ChannelError::Transient(
                "the IRC server sends a line without an end".into(),
            ));
        }
        Ok(())
    }

    fn apply(&mut self, effects: Vec<Effect>) -> Result<(), ChannelError> {
        for effect in effects {
            match effect {
                Effect::Connected(nick) => self.link.connected(&nick),
                Effect::Message(message) => self.held.push_back(*message),
                Effect::Sent(result) => {
                    if let Some(job) = self.job.take() {
                        let _ = job.done.send(result);
                    }
                }
                Effect::Trouble(why) => self.link.trouble(&why),
                Effect::End(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn finished(taking: &mut Option<Taking<'_>>) -> Taken {
    match taking {
        Some(taking) => taking.await,
        None => pending().await,
    }
}

fn lost(error: &io::Error) -> ChannelError {
    ChannelError::Transient(format!("the connection to the IRC server failed: {error}"))
}
