//! mcpd beside nginx, `HAProxy` and a bare proxy, on the same work on the same machine.
//!
//! The gateway has one core, the load and the model server behind another. Gateways take turns, round by round; what
//! is printed are medians, and ratios within this one run. See `docs/performance.md`.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

mod bare;
mod connection;
mod gateway;
mod keys;
mod load;
mod process;
mod socket;
mod table;
mod upstream;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use gateway::{Gateway, Kind};
use keys::Keys;
use load::Stage;
use table::Table;
use work::Work;

const USAGE: &str = "cargo bench --bench compare -- [--seconds N] [--rounds N] [--only WORK[,WORK]] \
     [--gateways NAME[,NAME]] [--against BINARY]";

/// What was asked for.
struct Options {
    seconds: Duration,
    rounds: usize,
    only: Option<Vec<String>>,
    gateways: Option<Vec<String>>,
    /// Another build of mcpd, to be compared too.
    against: Option<PathBuf>,
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, listen, upstream] = arguments.as_slice()
        && mode == "bare"
    {
        let parse = |address: &String| address.parse().expect("an address");
        return bare::serve(parse(listen), parse(upstream));
    }
    let options = Options::parse(&arguments);
    process::move_to(process::LOAD_CORE);
    let most = if options.wants_work("million") { 1_000_000 } else { 10_000 };
    let keys = Keys::make(most);
    let mut stage = Stage::new();
    let folder = std::env::temp_dir().join(format!("mcpd-compare-{}", std::process::id()));
    for work in Work::ALL.iter().filter(|work| options.wants_work(work.name)) {
        let other = options.against.is_some().then_some(&Kind::Other);
        let kinds = work.gateways.iter().filter(|kind| options.wants_gateway(**kind)).chain(other);
        let gateways: Vec<Gateway> = kinds
            .enumerate()
            .map(|(number, kind)| {
                let folder = folder.join(format!("{}-{number}", work.name));
                Gateway::start(*kind, options.against.as_deref(), stage.upstream(), &keys, &folder)
            })
            .collect();
        let mut table = Table::new(work, &gateways);
        let rate = work.share_of_most.map(|share| {
            let reference =
                gateways.iter().find(|gateway| gateway.kind == Kind::Nginx).unwrap_or(&gateways[0]);
            share * work.most(&mut stage, reference, &keys, options.seconds)
        });
        for _ in 0..options.rounds {
            for (row, gateway) in gateways.iter().enumerate() {
                table.add(row, work.measure(&mut stage, gateway, &keys, options.seconds, rate));
            }
        }
        println!("{table}");
    }
    std::fs::remove_dir_all(&folder)
}

impl Options {
    fn parse(arguments: &[String]) -> Self {
        let mut options =
            Self { seconds: Duration::from_secs(3), rounds: 5, only: None, gateways: None, against: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let value = arguments.next().unwrap_or_else(|| panic!("{argument} needs a value: {USAGE}"));
            let number = || value.parse().unwrap_or_else(|_| panic!("{argument} takes a number: {USAGE}"));
            let names = || Some(value.split(',').map(ToOwned::to_owned).collect());
            match argument.as_str() {
                "--seconds" => options.seconds = Duration::from_secs(number()),
                "--rounds" => options.rounds = usize::try_from(number()).expect("a few rounds"),
                "--only" => options.only = names(),
                "--gateways" => options.gateways = names(),
                "--against" => options.against = Some(std::fs::canonicalize(value).expect("a program")),
                _ => panic!("there is no {argument}: {USAGE}"),
            }
        }
        options
    }

    fn wants_work(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == name))
    }

    fn wants_gateway(&self, kind: Kind) -> bool {
        self.gateways.as_ref().is_none_or(|only| only.iter().any(|wanted| kind.name().starts_with(wanted)))
    }
}
