// Package segment keeps the committed log of one raft group on one node, in
// files that are the same, byte for byte, on every replica of the group.
//
// It owns the segment files of one folder: their format, recovery after a crash,
// reads by index and by offset, retention, and the copying of a log to a joiner.
// It never holds an entry that may still change (raft truncates nothing here),
// never interprets an entry's data or the machine's state, and never decides when
// to checkpoint, roll or drop. What the bytes are depends on the entries and on
// where the log was rolled alone: not on time, restarts, checkpoints or caches.
//
// # Files
//
// A segment is a file <folder>%020d.seg, named by the index of its state frame:
// the last entry before the segment. It is a row of frames without gaps: a state
// frame, then one frame for each entry that follows, of dense indexes.
//
//	00000000000000000001.seg   state(1)    2    3 ... 1000
//	00000000000000001000.seg   state(1000) 1001 1002 ... 2417
//	00000000000000002417.seg   state(2417) 2418 ...            the active segment
//
// # Frame
//
// Integers are little-endian.
//
//	0        4        8        12       16                24
//	+--------+--------+--------+--------+-----------------+
//	| header | data   | data   | count  | index           |
//	| crc    | crc    | length |        |                 |
//	+--------+--------+--------+--------+-+---------------+
//	| term            | base            |k|t| data ...
//	+-----------------+-----------------+-+-+-----------
//	24                32                40  42
//
// header crc is the CRC-32C of the group's id, in 8 bytes, and bytes 4 to 42: so a file
// that strayed here from another group's log is not taken for one of this. data crc is
// that of the data, k the kind, t raft's type of the entry.
//
//	kind       index, term          base               count
//	1 state    the last entry       the next offset    entries in the segment
//	           before the segment                      before this one
//	2 entry    the entry's          the next offset    0
//	3 records  the entry's          the first record's the records in it
//
// Two checksums, so that a header can be trusted before the data is read: at the
// start of a node only the headers of old segments are. The count of a state
// frame ties each segment to the one before it, so a missing file is noticed, and a
// file of the wrong length is when it is read. That the oldest is missing is known to
// whoever knows where the log must begin (Store.Missing).
//
// # Data of a state frame
//
// In the primitives of broker/codec:
//
//	uvarint  number of terms that began in the segment before
//	  uvarint index  \ of the first entry of the term, each less the one before
//	  uvarint term   / it (the first: less the state frame's before)
//	4 times  voters, learners, outgoing voters, next learners:
//	  uvarint number of raft ids
//	    uvarint id   ascending, each less the one before it
//	byte     1 if the joint configuration is left automatically
//	bytes    the state machine's state
//
// So the terms of the whole log are found in the state frames, and each frame
// holds those of one segment only.
//
// # Recovery
//
// The journal knows a Position up to which everything was synced. Below it a bad
// byte, or one that cannot be read, is damage (ErrDamaged: nothing is changed, Mend it
// from a peer). Above it the log is read to the first gap or bad frame, and what lies
// beyond goes: the journal has those entries. A torn new segment goes whole, so the last
// good state frame may be that of the segment before.
//
// What reads well above the position is written once more in place. A sync that
// failed in an earlier life may have left pages that the operating system shows
// but will never write; a later sync would then vouch for nothing.
package segment
