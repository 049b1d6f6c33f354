//! What can be written about setup codes.

use clap::{Args, ValueEnum};

use super::{FormArgs, ReadArgs, TargetArgs, TimeoutArgs};

/// What a setup code says and how it is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct CodeArgs {
    /// The address under which the device reaches the gateway, such as wss://gateway.example.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Prefer gateway.remote.url to this host's own addresses.
    #[arg(long)]
    pub remote: bool,
    /// What the code gives: limited (a phone: chat and approvals, no admin) or node.
    #[arg(long, value_enum, value_name = "ACCESS", default_value = "limited")]
    pub access: AccessArg,
    /// Print the code and nothing else.
    #[arg(long)]
    pub setup_code_only: bool,
    /// Do not draw the QR code.
    #[arg(long)]
    pub no_ascii: bool,
}

/// What a setup code gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AccessArg {
    /// A phone: a node, and an operator that may chat, approve and answer.
    #[default]
    Limited,
    /// A node only.
    Node,
}

/// `openclaw devices setup-code`.
#[derive(Debug, Clone, Args)]
pub struct SetupCodeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub code: CodeArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw qr`: upstream's name for it, in which `--url` is the address inside the code.
#[derive(Debug, Clone, Args)]
pub struct QrArgs {
    /// Same as --public-url.
    #[arg(long, value_name = "URL", conflicts_with = "public_url")]
    pub url: Option<String>,
    /// The gateway's shared token.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub token: Option<String>,
    /// The gateway's shared password.
    #[arg(
        long,
        value_name = "PASSWORD",
        conflicts_with = "token",
        allow_hyphen_values = true
    )]
    pub password: Option<String>,
    /// SHA-256 fingerprint of its certificate: no other is taken.
    #[arg(long, value_name = "SHA256")]
    pub tls_fingerprint: Option<String>,
    /// Reach the gateway from this host, through ssh.
    #[arg(long, value_name = "USER@HOST")]
    pub ssh: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub code: CodeArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub wait: TimeoutArgs,
}

impl From<QrArgs> for SetupCodeArgs {
    fn from(args: QrArgs) -> Self {
        let QrArgs {
            url,
            token,
            password,
            tls_fingerprint,
            ssh,
            code,
            form,
            wait,
        } = args;
        Self {
            code: CodeArgs {
                public_url: code.public_url.or(url),
                ..code
            },
            read: ReadArgs {
                target: TargetArgs {
                    url: None,
                    token,
                    password,
                    tls_fingerprint,
                    ssh,
                },
                form,
                wait,
            },
        }
    }
}
