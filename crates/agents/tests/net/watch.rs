//! R-MEM-7, and telling others' changes from ours and from the kernel's (R-TAKE-7, R-LEASE-11).

use crate::address::{now, spec};
use crate::space::{PATIENCE, pair, run};
use hearth_agents::net::{AddressAgent, Carrier, Loss, NetEvent, Watch};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

async fn expect(events: &mut Receiver<NetEvent>, wanted: NetEvent) -> Vec<NetEvent> {
    let mut seen = Vec::new();
    while seen.last() != Some(&wanted) {
        let Ok(event) = tokio::time::timeout(PATIENCE, events.recv()).await else {
            panic!("no {wanted:?}, only {seen:?}");
        };
        seen.push(event.expect("the watch goes on"));
    }
    seen
}

fn carrier(interface: &str, carrier: Carrier) -> NetEvent {
    NetEvent::Carrier { interface: interface.into(), carrier }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn carrier_is_told_at_the_start_and_when_a_cable_is_pulled_or_an_interface_goes() {
    let peer = pair();
    runtime().block_on(async {
        let (snapshot, mut events) = Watch::start(Default::default()).unwrap();
        assert_eq!(snapshot.carrier("eth0"), Carrier::Up);
        assert_eq!(snapshot.carrier("lo"), Carrier::Unknown);
        let seen = expect(&mut events, carrier("lo", Carrier::Unknown)).await;
        assert!(seen.contains(&carrier("eth0", Carrier::Up)), "{seen:?}");
        peer.there(|| run("ip link set far down"));
        expect(&mut events, carrier("eth0", Carrier::Down)).await;
        peer.there(|| run("ip link set far up"));
        expect(&mut events, carrier("eth0", Carrier::Up)).await;

        run("ip link add br0 type bridge");
        run("ip link set br0 up");
        expect(&mut events, carrier("br0", Carrier::Unknown)).await;
        run("ip link set eth0 master br0");
        expect(&mut events, carrier("br0", Carrier::Up)).await;
        run("ip link add link br0 name mac0 type macvlan");
        run("ip link set mac0 up");
        expect(&mut events, carrier("mac0", Carrier::Up)).await;
        peer.there(|| run("ip link set far down"));
        expect(&mut events, carrier("mac0", Carrier::Down)).await;
        peer.there(|| run("ip link set far up"));
        expect(&mut events, carrier("mac0", Carrier::Up)).await;
        run("ip link del br0");
        let seen = expect(&mut events, carrier("br0", Carrier::Down)).await;
        assert!(seen.contains(&NetEvent::Interfaces), "{seen:?}");

        run("ip link set eth0 name lan");
        let seen = expect(&mut events, carrier("lan", Carrier::Up)).await;
        assert!(seen.contains(&carrier("eth0", Carrier::Down)), "{seen:?}");
        run("ip link del lan");
        expect(&mut events, carrier("lan", Carrier::Down)).await;
    });
}

#[test]
fn what_others_do_to_our_addresses_is_told_and_what_we_do_is_not() {
    let _peer = pair();
    runtime().block_on(async {
        let agent = AddressAgent::new().unwrap();
        let (_, mut events) = Watch::start(agent.held()).unwrap();
        let second = Duration::from_secs(1);
        for (ip, prefix) in [("10.77.0.50", 24), ("fd77::50", 64)] {
            let spec = spec(ip);
            let ip = spec.ip;
            // Ours: start, renew, stop, start.
            agent.start(&spec, Some(30 * second), None).unwrap();
            agent.renew(&spec, 60 * second, now() + second).unwrap();
            agent.withdraw(ip).unwrap();
            agent.start(&spec, Some(30 * second), None).unwrap();
            // Another's.
            run(&format!("ip addr del {ip}/{prefix} dev eth0"));
            let seen = expect(&mut events, NetEvent::Lost { ip, loss: Loss::Removed }).await;
            let others = |e: &&NetEvent| matches!(e, NetEvent::Lost { .. } | NetEvent::LifetimeChanged { .. });
            assert_eq!(seen.iter().filter(others).count(), 1, "{seen:?}");
            agent.start(&spec, Some(30 * second), None).unwrap();
            // However often before it is put right: once.
            for _ in 0..2 {
                run(&format!("ip addr change {ip}/{prefix} dev eth0 valid_lft forever preferred_lft forever"));
            }
            let seen = expect(&mut events, NetEvent::LifetimeChanged { ip }).await;
            assert_eq!(seen.iter().filter(others).count(), 1, "{seen:?}");
            // The kernel's.
            agent.start(&spec, Some(second), None).unwrap();
            let seen = expect(&mut events, NetEvent::Lost { ip, loss: Loss::Expired }).await;
            assert_eq!(seen.iter().filter(others).count(), 1, "{seen:?}");
            agent.withdraw(ip).unwrap();
        }
        let spec = spec("10.77.0.50");
        agent.start(&spec, None, None).unwrap();
        run("ip link del eth0");
        expect(&mut events, NetEvent::Lost { ip: spec.ip, loss: Loss::InterfaceGone }).await;
    });
}
