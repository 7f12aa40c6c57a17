//! The watchdog's thread as a table: what it knows, what the hardware answers, and what comes of every order.

use super::tests::{Paper, at, pet};
use super::{Keeper, Order};
use crate::table::{compare, decisions, flag, input};
use std::cell::RefCell;

/// Armed or tried at that moment, in milliseconds.
const BEGAN: u64 = 10_000;

const KNOWS: [&str; 3] = ["never tried", "armed", "failed"];
const ORDERS: [&str; 2] = ["pet", "close"];
const SINCE: [u64; 2] = [1, 6];

/// R-LEASE-6, R-LEASE-7
#[test]
fn every_order_to_a_watchdog() {
    let inputs = [
        input("it is", &KNOWS),
        input("s since then", &SINCE),
        input("ordered", &ORDERS),
        flag("the right has ended meanwhile"),
        flag("the hardware does it"),
    ];
    let text = decisions(&inputs, "what is done, and told", |chosen| {
        let &[knows, since, order, ended, does] = chosen else { unreachable!("five inputs") };
        let (paper, told) = (Paper::default(), RefCell::new(Vec::new()));
        let mut keeper = Keeper::new(paper.clone(), |seen| told.borrow_mut().push(seen.map(|_| ())));
        paper.refuses.set(knows == 2);
        if knows > 0 {
            keeper.take(pet(BEGAN), || at(BEGAN));
        }
        paper.done.take();
        told.take();
        paper.refuses.set(does == 0);
        let now = BEGAN + SINCE[since] * 1000;
        let order = match order {
            0 => pet(if ended == 1 { now - 1 } else { now + 1000 }),
            _ => Order::Close,
        };
        keeper.take(order, || at(now));
        let done = paper.done.take().into_iter().map(str::to_owned);
        let told = told.take().into_iter().map(|seen| match seen {
            Ok(()) => "told: armed".to_owned(),
            Err(why) => format!("told: {why}"),
        });
        let all: Vec<String> = done.chain(told).collect();
        if all.is_empty() { "-".to_owned() } else { all.join(", ") }
    });
    let head = "What the watchdog's thread does (crates/runtime/src/watchdog). `failed`: it could not be armed.";
    compare("watchdog.txt", head, &text);
}
