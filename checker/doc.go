// Package checker gives verdicts on histories: from what clients saw alone, or
// with a simulation's facts about the logs beside it. It never imports a node and
// never runs one.
//
// A partition is judged in this order, and what one step finds broken is not
// handed to the next:
//
//  1. Contents. Every offset that anyone saw holds one value, and every value has
//     one offset. With that, offsets are the order of the log.
//  2. Holes. An offset below the end that nobody saw is given to a produce of
//     unknown outcome; too few of them is illegal. A simulation's facts say
//     instead what stood there.
//  3. The rank sweep. An operation says where the end of the log was while it was
//     under way: an append of the record at offset o moved it from o to o+1, a
//     read was told bounds of it. On the line of ranks, 2e is "the end is e" and
//     2o+1 is "the record at o is appended", so each operation has an interval of
//     ranks; the partition is linearizable if and only if no operation whose
//     interval lies above another's had returned before that other was invoked.
//     Two sorts and a running maximum find it, and name the two.
//  4. porcupine searches for an order of the same operations. The two judges must
//     agree.
//  5. The log start is a second register that only grows, swept the same way.
//
// Beside these, anomalies by the names of jepsen.tests.kafka, each with its
// witness: duplicate, lost-write, unseen, G1a, and so on (see the constants).
//
// Time is the index of an event, never a clock's reading. The same history always
// gives the same report, byte for byte.
package checker
