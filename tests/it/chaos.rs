//! All that may happen to followers of a node at once, at random: links that are cut in the midst of a request or a
//! reply, or late and without the reply; servers that are killed, frozen, or come back from an old RDB file; a node
//! that is killed. They end with exactly what the node has, every round.
//!
//! `RINGWELL_CHAOS_ROUNDS=100 RINGWELL_CHAOS_OPS=20000 RINGWELL_CHAOS_CUTS=90` run longer, from `RINGWELL_FIRST_SEED` on.

use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::follow::{
    Direction, Draw, Link, Server, all_online, end_equal, fulls, number, online, partials,
    send_all, valkey,
};
use crate::mirror::{ends_equal, metric, node_with};
use crate::node::{Node, Options};
use crate::oracle::{Connection, Reply};

/// What is done in a round, and what was done in all of them.
struct Chaos {
    rounds: u64,
    ops: u64,
    cuts: u64,
    draw: Draw,
    sent: u64,
    kills: u64,
    rollbacks: u64,
    freezes: u64,
    node_kills: u64,
}

/// What happens after some commands, beside a cut.
enum Fault {
    None,
    Freeze,
    Save,
    Kill,
    NodeKill,
}

impl Chaos {
    fn new() -> Chaos {
        Chaos {
            rounds: number("RINGWELL_CHAOS_ROUNDS", 2),
            ops: number("RINGWELL_CHAOS_OPS", 1_000),
            cuts: number("RINGWELL_CHAOS_CUTS", 10),
            draw: Draw(0),
            sent: 0,
            kills: 0,
            rollbacks: 0,
            freezes: 0,
            node_kills: 0,
        }
    }

    /// Begins a round; whether a server that is killed in it comes back from an old RDB file.
    fn begin(&mut self, round: u64) -> bool {
        self.draw = Draw(number("RINGWELL_FIRST_SEED", 1) * 1_000 + round);
        round % 2 == 1
    }

    fn send(&mut self, client: &mut TcpStream, length: usize) {
        let pipeline = self.draw.pipeline(length);
        self.sent += pipeline.len() as u64;
        assert!(send_all(client, &pipeline));
    }

    /// Sends a step's part of a round's commands.
    fn step(&mut self, client: &mut TcpStream) {
        let until = self.sent + self.ops / self.cuts;
        while self.sent < until {
            let left = usize::try_from(until - self.sent).unwrap();
            self.send(client, left.min(20));
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// A step while a link breaks: in the midst of what passes to the follower or from it, or after it. `whole` says
    /// whether all links are there.
    fn break_links(
        &mut self,
        links: &[Link],
        client: &mut TcpStream,
        (to_follower, from_follower): (Direction, Direction),
        whole: impl Fn() -> bool,
    ) {
        // A link that is not there cannot be cut; but nor need it always be.
        for _ in 0..100 {
            if whole() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let link = &links[self.draw.below(links.len() as u64) as usize];
        link.chaos.store(self.draw.below(20), Ordering::SeqCst);
        let how = self.draw.below(5);
        match how {
            0 | 1 => link.cut_within(to_follower),
            2 | 3 => link.cut_within(from_follower),
            _ => {}
        }
        self.step(client);
        if how == 4 {
            link.cut();
        }
    }

    fn fault(&mut self, step: u64) -> Fault {
        match step % 10 {
            0 => Fault::Freeze,
            1 | 6 => Fault::Save,
            3 | 8 => Fault::Kill,
            5 => Fault::NodeKill,
            _ => Fault::None,
        }
    }

    /// Frozen: it takes nothing and says nothing, and the node goes on.
    fn freeze(&mut self, server: &Server, client: &mut TcpStream) {
        self.freezes += 1;
        server.signal("-STOP");
        (0..4).for_each(|_| self.send(client, 20));
        server.signal("-CONT");
    }

    fn kill(&mut self, server: &mut Server, rolls_back: bool) {
        *(if rolls_back { &mut self.rollbacks } else { &mut self.kills }) += 1;
        server.kill();
        assert!(server.run());
    }

    fn told(&self, cuts: u64) {
        println!(
            "{} commands, {cuts} cuts, {} kills, {} times an old file, {} times frozen, {} kills of the node: equal after each of {} rounds",
            self.sent, self.kills, self.rollbacks, self.freezes, self.node_kills, self.rounds
        );
    }
}

/// A server that loses nothing when it is killed, or all since it was told to SAVE.
fn saving(rolls_back: bool) -> &'static [&'static str] {
    match rolls_back {
        true => &["--appendonly", "no", "--repl-timeout", "10"],
        false => &["--appendonly", "yes", "--appendfsync", "always", "--repl-timeout", "10"],
    }
}

/// It may be reading a file of its own, or writing one.
fn save(server: &Server) {
    let saved = Reply::Line('+', "OK".to_owned());
    let done = (0..200).any(|_| {
        let done = Connection::open(&server.address()).call(&["SAVE"]) == saved;
        if !done {
            std::thread::sleep(Duration::from_millis(50));
        }
        done
    });
    assert!(done, "no SAVE");
}

fn a_target_ends_equal(program: &Path) {
    let mut chaos = Chaos::new();
    let link = Link::to("127.0.0.1:1");
    let dir = tempfile::tempdir().unwrap();
    let mirror = format!("url = \"redis://{}\"\nverify = 500\n", link.address);
    let mut node = node_with(dir.path(), &mirror).start();
    for round in 0..chaos.rounds {
        let rolls_back = chaos.begin(round);
        let Some(mut target) = Server::start(program, saving(rolls_back)) else { return };
        link.leads_to(&target.address());
        let mut client = TcpStream::connect(&node.redis).unwrap();
        for step in 0..chaos.cuts {
            chaos.break_links(
                std::slice::from_ref(&link),
                &mut client,
                (Direction::There, Direction::Back),
                || metric(&node, "ringwell_mirror_up") == 1.0,
            );
            match chaos.fault(step) {
                Fault::None => {}
                Fault::Freeze => chaos.freeze(&target, &mut client),
                Fault::Save => save(&target),
                Fault::Kill => {
                    chaos.kill(&mut target, rolls_back);
                    link.leads_to(&target.address());
                }
                Fault::NodeKill => {
                    chaos.node_kills += 1;
                    never_differed(&node);
                    node.kill();
                    node.restart();
                    client = TcpStream::connect(&node.redis).unwrap();
                }
            }
        }
        link.chaos.store(0, Ordering::SeqCst);
        ends_equal(&node, &target.address(), ("", ""));
        never_differed(&node);
        println!("round {round}: equal");
    }
    chaos.told(link.cuts.load(Ordering::SeqCst));
}

/// No key was refused, nor found to differ when it was compared.
pub fn never_differed(node: &Node) {
    // Before the mirror has begun there is nothing to be told.
    for name in ["ringwell_mirror_dead_commands_total", "ringwell_mirror_mismatched_keys_total"] {
        assert!(metric(node, name) <= 0.0, "{name}: {}", node.log());
    }
}

#[test]
fn a_redis_that_is_pushed_to_ends_equal_whatever_happens() {
    a_target_ends_equal(Path::new("redis-server"));
}

#[test]
fn a_valkey_that_is_pushed_to_ends_equal_whatever_happens() {
    match valkey() {
        Some(program) => a_target_ends_equal(&program),
        None => println!("skipped: Valkey's package is not installed"),
    }
}

#[test]
fn two_replicas_end_equal_whatever_happens() {
    let mut chaos = Chaos::new();
    let mut node = Options::default().start();
    let links = [Link::to(&node.redis), Link::to(&node.redis)];
    let (mut full, mut partial) = (0, 0);
    for round in 0..chaos.rounds {
        let rolls_back = chaos.begin(round);
        let follow = [links[0].address.as_str(), &links[1].address];
        let Some(mut servers) = Server::pair(follow, saving(rolls_back)) else { return };
        all_online(&node, 2);
        let mut client = TcpStream::connect(&node.redis).unwrap();
        for step in 0..chaos.cuts {
            chaos.break_links(&links, &mut client, (Direction::Back, Direction::There), || {
                online(&node) == 2
            });
            let which = chaos.draw.below(2) as usize;
            match chaos.fault(step) {
                Fault::None => {}
                Fault::Freeze => chaos.freeze(&servers[which], &mut client),
                Fault::Save => servers.iter().for_each(save),
                Fault::Kill => chaos.kill(&mut servers[which], rolls_back),
                Fault::NodeKill => {
                    chaos.node_kills += 1;
                    (full, partial) = (full + fulls(&node), partial + partials(&node));
                    node.kill();
                    node.restart();
                    links.iter().for_each(|link| link.leads_to(&node.redis));
                    client = TcpStream::connect(&node.redis).unwrap();
                }
            }
        }
        links.iter().for_each(|link| link.chaos.store(0, Ordering::SeqCst));
        end_equal(&node, &servers);
        println!("round {round}: equal");
    }
    chaos.told(links.iter().map(|link| link.cuts.load(Ordering::SeqCst)).sum());
    // Only what was never whole, as an RDB file that a cut ended, is begun anew.
    let (full, partial) = (full + fulls(&node), partial + partials(&node));
    println!("{full} full syncs, {partial} partial ones");
    assert!(partial > 0);
}
