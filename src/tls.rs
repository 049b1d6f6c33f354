//! The certificate of the listener: configured or made, exchanged without a restart, and its
//! fingerprint, which clients pin.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use crate::config::Loaded;

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// PEM file of the certificate, the chain behind it.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// Whether a pair is made when both are missing.
    pub generate: bool,
    /// Whether both are in our own folder: a key without its certificate is half of a pair of ours then, and is
    /// made again.
    pub own: bool,
}

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{}: {why}", .path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Neither file is there, and none is to be made.
    #[error(
        "{} and {} are missing; write them (PEM), or set gateway.tls.autoGenerate to true",
        .0.display(), .1.display()
    )]
    Missing(PathBuf, PathBuf),
}

impl Files {
    /// The files that the configuration names, or ours in the state directory.
    pub fn of(loaded: &Loaded) -> Self {
        let tls = &loaded.config.gateway.tls;
        let paths = &loaded.paths;
        let own = paths.gateway_dir.join("tls");
        let place = |configured: Option<&String>, name: &str| {
            configured.map_or_else(
                || own.join(name),
                |path| paths.expand(path, &paths.state_dir),
            )
        };
        Self {
            certificate: place(tls.cert_path.as_ref(), "cert.pem"),
            key: place(tls.key_path.as_ref(), "key.pem"),
            generate: tls.auto_generate,
            own: tls.cert_path.is_none() && tls.key_path.is_none(),
        }
    }

    /// The fingerprint of the certificate, as it is on the disk.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when there is none, or it cannot be read.
    pub fn fingerprint(&self) -> Result<String, TlsError> {
        let chain = self.chain()?;
        Ok(fingerprint(&chain[0]))
    }

    /// The fingerprint of the pair on the disk, if a gateway could use it.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file is missing or unfit, or the key is another certificate's.
    pub fn usable(&self) -> Result<String, TlsError> {
        self.load().map(|identity| identity.fingerprint)
    }

    /// The chain, with at least the certificate itself.
    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = read(&self.certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain =
            chain.map_err(|error| content(&self.certificate, format!("not PEM: {error}")))?;
        if chain.is_empty() {
            let why = "holds no certificate; it must be PEM (-----BEGIN CERTIFICATE-----)";
            return Err(content(&self.certificate, why.into()));
        }
        Ok(chain)
    }

    fn load(&self) -> Result<Identity, TlsError> {
        let chain = self.chain()?;
        let text = read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            let why = "holds no private key; it must be PEM, without a password";
            content(&self.key, why.into())
        })?;
        let fingerprint = fingerprint(&chain[0]);
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| {
                let why = format!("does not belong to {}: {error}", self.certificate.display());
                content(&self.key, why)
            })?;
        // Sessions are WebSockets over HTTP/1.1; nothing here speaks HTTP/2.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Identity {
            config: Arc::new(config),
            fingerprint,
        })
    }

    /// What tells one version of both files from another.
    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let found = fs::metadata(path).ok()?;
            // The change time too: a key that becomes readable has the same content as before.
            Some([
                i64::try_from(found.ino()).unwrap_or(0),
                i64::try_from(found.len()).unwrap_or(0),
                found.mtime(),
                found.mtime_nsec(),
                found.ctime(),
                found.ctime_nsec(),
            ])
        })
    }
}

type Stamp = [Option<[i64; 6]>; 2];

struct Identity {
    config: Arc<ServerConfig>,
    fingerprint: String,
}

/// The certificate in use. Each connection looks whether the files are others by now: a new pair is
/// used from then on, one that cannot be used changes nothing.
pub struct Certificates {
    files: Files,
    identity: ArcSwap<Identity>,
    seen: Mutex<Seen>,
}

struct Seen {
    /// The files that are in use.
    used: Stamp,
    /// The files that were found to be of no use, and told of.
    refused: Option<Stamp>,
}

impl Certificates {
    /// Reads the pair, and makes one first if there is none.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn open(files: Files, host: &str) -> Result<Self, TlsError> {
        if !files.certificate.exists() && ((files.own && files.generate) || !files.key.exists()) {
            if !files.generate {
                return Err(TlsError::Missing(files.certificate, files.key));
            }
            generate(&files, host)?;
        }
        // Before the reading: files that change meanwhile are read again.
        let seen = files.stamp();
        let identity = files.load()?;
        Ok(Self {
            identity: ArcSwap::from_pointee(identity),
            seen: Mutex::new(Seen {
                used: seen,
                refused: None,
            }),
            files,
        })
    }

    /// What the next handshake is made with.
    pub fn current(&self) -> Arc<ServerConfig> {
        // One at a time; who comes meanwhile gets the one before.
        if let Ok(mut seen) = self.seen.try_lock() {
            self.look(&mut seen);
        }
        Arc::clone(&self.identity.load().config)
    }

    fn look(&self, seen: &mut Seen) {
        let stamp = self.files.stamp();
        if seen.used == stamp {
            return;
        }
        match self.files.load() {
            Ok(identity) => {
                tracing::info!(fingerprint = %identity.fingerprint, "a new certificate is in use");
                self.identity.store(Arc::new(identity));
                *seen = Seen {
                    used: stamp,
                    refused: None,
                };
            }
            Err(error) => {
                // It may become readable without another change; it is told of once.
                if seen.refused != Some(stamp) {
                    tracing::warn!(%error, "the new certificate cannot be used; the one before stays in use");
                }
                seen.refused = Some(stamp);
            }
        }
    }

    /// SHA-256 of the certificate in use.
    pub fn fingerprint(&self) -> String {
        self.identity.load().fingerprint.clone()
    }
}

/// `AA:BB:...`, as `openssl x509 -fingerprint -sha256` shows it.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    digest.iter().fold(String::new(), |mut text, byte| {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
        text
    })
}

/// Makes a self-signed pair. Clients know it by its fingerprint, so it names this host and lasts.
fn generate(files: &Files, host: &str) -> Result<(), TlsError> {
    let problem = |error: rcgen::Error| {
        content(
            &files.certificate,
            format!("a certificate cannot be made: {error}"),
        )
    };
    let names: Vec<String> = ["localhost", "127.0.0.1", "::1", host]
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let mut params = rcgen::CertificateParams::new(names).map_err(problem)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "openclaw gateway");
    // What some systems ask of every server's certificate.
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let key = rcgen::KeyPair::generate().map_err(problem)?;
    let certificate = params.self_signed(&key).map_err(problem)?;
    // The certificate last: where it is, the pair is whole, however this ends.
    let drafts = [
        (&files.key, key.serialize_pem()),
        (&files.certificate, certificate.pem()),
    ];
    let drafts = drafts.map(|(place, text)| (place, draft(place, &text)));
    for (place, draft) in drafts {
        put(&draft?, place)?;
    }
    tracing::info!(
        certificate = %files.certificate.display(),
        "made a certificate; clients know it by its fingerprint (openclaw gateway tls fingerprint)"
    );
    Ok(())
}

/// Writes a file that only this user can read beside the place where it belongs; its path.
fn draft(place: &Path, text: &str) -> Result<PathBuf, TlsError> {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let path = place.with_file_name(name);
    let problem = |source| TlsError::File {
        path: path.clone(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(problem)?;
    }
    // What an interrupted start left.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(problem(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(problem)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(problem)?;
    Ok(path)
}

/// Puts a draft in its place, for good before the next one is.
fn put(draft: &Path, place: &Path) -> Result<(), TlsError> {
    let problem = |source| TlsError::File {
        path: place.to_owned(),
        source,
    };
    fs::rename(draft, place).map_err(problem)?;
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(problem)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}

fn content(path: &Path, why: String) -> TlsError {
    TlsError::Content {
        path: path.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        Files {
            certificate: folder.join("tls/cert.pem"),
            key: folder.join("tls/key.pem"),
            generate: true,
            own: true,
        }
    }

    fn provider() {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    }

    #[test]
    fn a_pair_is_made_once_and_private() {
        provider();
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let first = Certificates::open(files.clone(), "box").unwrap();
        assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
        assert_eq!(first.fingerprint(), files.fingerprint().unwrap());
        assert_eq!(fs::metadata(&files.key).unwrap().mode() & 0o777, 0o600);
        let again = Certificates::open(files, "box").unwrap();
        assert_eq!(again.fingerprint(), first.fingerprint());
    }

    #[test]
    fn a_start_that_was_interrupted_while_the_pair_was_made_blocks_no_later_one() {
        provider();
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        fs::create_dir_all(folder.path().join("tls")).unwrap();
        // Power failed after the key, and once before it.
        fs::write(&files.key, "-----BEGIN PRIV").unwrap();
        fs::write(folder.path().join("tls/cert.pem.new"), "half").unwrap();
        // A key that its owner named is nobody's to replace.
        let named = Files {
            own: false,
            ..files.clone()
        };
        let error = Certificates::open(named, "box").err().unwrap().to_string();
        assert!(error.contains("cert.pem"), "{error}");
        assert_eq!(fs::read_to_string(&files.key).unwrap(), "-----BEGIN PRIV");

        let made = Certificates::open(files.clone(), "box").unwrap();
        assert_eq!(made.fingerprint(), files.fingerprint().unwrap());
        assert_eq!(fs::metadata(&files.key).unwrap().mode() & 0o777, 0o600);
        let mut names: Vec<_> = fs::read_dir(folder.path().join("tls"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["cert.pem", "key.pem"]);
    }

    #[test]
    fn a_new_pair_is_used_at_once_and_a_broken_one_changes_nothing() {
        provider();
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let certificates = Certificates::open(files.clone(), "box").unwrap();
        let before = certificates.fingerprint();
        let old = certificates.current();

        // Half of a change: the key does not belong to the certificate yet.
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        assert!(Arc::ptr_eq(&certificates.current(), &old));
        assert_eq!(certificates.fingerprint(), before);

        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        assert!(!Arc::ptr_eq(&certificates.current(), &old));
        assert_ne!(certificates.fingerprint(), before);
        assert_eq!(certificates.fingerprint(), files.fingerprint().unwrap());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_its_file() {
        provider();
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path());
        files.generate = false;
        let error = Certificates::open(files.clone(), "box")
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("cert.pem") && error.contains("autoGenerate"),
            "{error}"
        );

        fs::create_dir_all(folder.path().join("tls")).unwrap();
        fs::write(&files.certificate, "hello").unwrap();
        let error = Certificates::open(files.clone(), "box")
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("cert.pem") && error.contains("BEGIN CERTIFICATE"),
            "{error}"
        );
    }
}
