//! `tallymark serve`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::control;
use crate::folder::Folder;
use crate::front::Front;
use crate::reports;
use crate::sdk;
use crate::server::{self, Tls};
use crate::usage;

/// Run the collector until it is told to stop.
pub async fn serve(folder: Folder, config: Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let limits = server::Limits::from(&config);
    let drain = limits.drain;
    let listen = config.listen;
    let tls = Tls::of(&config)?;
    let app = App::open(folder, config, Clock::System).await?;
    sdk::keep(&app.meta).await?;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!(
            "cannot listen on {listen}; is another server there? --listen names another address"
        )
    })?;
    let address = listener.local_addr()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(app.meta.clone().watch());
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().watch());
    }
    tokio::spawn(forget_day_salts(app.clone()));
    tokio::spawn(usage::rollup::keep_running(app.clone()));
    tokio::spawn(reports::send::keep_running(app.clone()));

    // Without the socket only commands beside the server fail, and they say so.
    if let Err(error) = control::listen(app.clone(), tokio::runtime::Handle::current()) {
        tracing::warn!(%error, "commands cannot be handed to this server");
    }

    announce(&app, address, as_json)?;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        app.live.stop();
        tracing::info!("stopping: open requests get {:?} to finish", drain);
    };
    let telemetry = app.telemetry.clone();
    let cut = server::serve(listener, tls, Front::new(app.clone()), limits, telemetry, stop).await;
    if cut > 0 {
        tracing::warn!(connections = cut, "some requests did not finish in time");
    }
    // Nobody is to find a socket that nobody listens to.
    let _ = std::fs::remove_file(app.folder.control_socket());
    let store = app.store.clone();
    tokio::task::spawn_blocking(move || store.close()).await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn announce(app: &App, address: std::net::SocketAddr, as_json: bool) -> anyhow::Result<()> {
    let base = match app.config.public_url.trim_end_matches('/') {
        "" if app.config.tls_cert.is_empty() => format!("http://{address}"),
        "" => format!("https://{address}"),
        url => url.to_owned(),
    };
    let sign_in = format!("{base}/signin?token={}", app.sign_in_token()?);
    if as_json {
        let line = json!({ "address": address.to_string(), "dashboard": base, "sign_in": sign_in });
        println!("{line}");
    } else {
        println!(
            "Tallymark is running.\n\n  dashboard  {base}/\n  sign in    {sign_in}\n             works once\n"
        );
        if app.meta.directory().projects().is_empty() {
            println!(
                "  There is no project yet: tallymark project create \"My site\" --slug my-site\n"
            );
        }
    }
    // A pipe is buffered, and whoever waits for this line waits for it now.
    std::io::Write::flush(&mut std::io::stdout())?;
    Ok(())
}

/// A day's salt has to go when the day is over, also where nobody visits.
async fn forget_day_salts(app: App) {
    let mut hourly = tokio::time::interval(Duration::from_secs(3600));
    loop {
        hourly.tick().await;
        if let Err(error) = app.salts.salt(app.clock.now_ms()) {
            tracing::error!(%error, "the salt of the day cannot be made");
        }
    }
}
