//! A client's connection, plain or with TLS: what a face does with it beyond reading and writing.

use std::future::Future;
use std::io::{self, ErrorKind, Write};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, tcp};
use tokio_rustls::server::TlsStream;

/// A connection.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The half that reads.
    type Read<'a>: AsyncRead + Unpin + Send
    where
        Self: 'a;
    /// The half that writes.
    type Write<'a>: AsyncWrite + Unpin + Send
    where
        Self: 'a;

    /// Waits until something can be read, without room for it.
    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends what is taken at once; how much that was.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether something that was taken is not sent, so that a flush has to follow.
    fn holds(&self) -> bool;

    /// Both halves. What is written has to be flushed.
    fn halves(&mut self) -> (Self::Read<'_>, Self::Write<'_>);
}

impl Wire for TcpStream {
    type Read<'a> = tcp::ReadHalf<'a>;
    type Write<'a> = tcp::WriteHalf<'a>;

    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        TcpStream::readable(self)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    fn holds(&self) -> bool {
        false
    }

    fn halves(&mut self) -> (Self::Read<'_>, Self::Write<'_>) {
        self.split()
    }
}

impl Wire for TlsStream<TcpStream> {
    type Read<'a> = tokio::io::ReadHalf<&'a mut Self>;
    type Write<'a> = tokio::io::WriteHalf<&'a mut Self>;

    async fn readable(&mut self) -> io::Result<()> {
        self.fill_buf().await.map(|_| ())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (stream, session) = self.get_mut();
        let mut taken = 0;
        loop {
            while session.wants_write() {
                match session.write_tls(&mut AtOnce(stream)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(taken),
                    Err(error) => return Err(error),
                }
            }
            // It takes a part of what is long, which is sent before more is taken.
            match bytes.get(taken..) {
                None | Some([]) => return Ok(taken),
                Some(rest) => taken += session.writer().write(rest)?,
            }
        }
    }

    fn holds(&self) -> bool {
        self.get_ref().1.wants_write()
    }

    fn halves(&mut self) -> (Self::Read<'_>, Self::Write<'_>) {
        tokio::io::split(self)
    }
}

/// Writes what the system takes at once.
struct AtOnce<'a>(&'a TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
