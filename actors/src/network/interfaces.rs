//! The addresses of this host's network interfaces.

use std::io;
use std::net::IpAddr;

/// Lists addresses.
pub trait Interfaces: Send + Sync {
    /// Every address of every interface. Quick: one question to the kernel.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    fn addresses(&self) -> io::Result<Vec<IpAddr>>;
}

/// What the system says.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemInterfaces;

impl Interfaces for SystemInterfaces {
    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        let interfaces = if_addrs::get_if_addrs()?;
        Ok(interfaces
            .iter()
            .map(|interface| interface.ip().to_canonical())
            .collect())
    }
}

impl Interfaces for Vec<IpAddr> {
    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(self.clone())
    }
}
