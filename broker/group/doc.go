// Package group is the replicated state machine of a coordinator: consumer groups, their
// members, which partition each may read, and how far each group has come. It decides from
// a command and the state alone, so every replica, and every replay of the log, decides the
// same. It never reads a clock, keeps a timer or answers a request: whoever leads the
// coordinator watches members' sessions, and proposes their expiry.
//
// # One owner
//
// The coordinator itself assigns partitions; members only say what they want and what they
// still have (KIP-848 rather than KIP-429: there is no barrier that one slow member holds
// up). A change of members, or of what they subscribe to, makes a new generation due; the
// leader's next word of topics, which it gives at once, begins it, with a new target for
// everybody. So there is one for all that join together. From there a group moves one member
// at a time:
//
//	a member owns a partition that is another's target
//	   | the member's next beat tells it what it may keep
//	   v
//	it stops reading, commits, and says what it has given up (Sync)
//	   | the partition is free
//	   v
//	its new owner is granted it, in the same step
//
// So a partition has one owner at any time, and a member keeps what it need not give. Who
// does not give in time is expired like one that does not beat.
//
// A static member's place is taken at once by whoever joins under its name, as in Kafka's
// KIP-345: two that run under one name are the operator's mistake. The older one's commits
// are refused, and it does not come back: a client says which member it was, and is refused
// if another has the name by now. So the two do not take turns without end.
//
// # Fencing
//
// Whenever what a member owns changes, its epoch does. A commit names the epoch that the
// member knew: it is taken if the member owns the partition, and has owned it without a
// break since that epoch. (Kafka asks for the member's present epoch, so a commit fails that
// crosses a change which has nothing to do with it.) A Sync gives up nothing that was
// granted after the epoch that it names, or that the member was told after it to keep: its
// epoch changes then, too.
//
// A member counts its commits, and none is taken after a later one: a copy that was held up
// on its way sets nothing back. A commit that asks for less than the last one, because the
// reader went back, has a number above it. (Kafka takes commits as they come.)
//
// # Formats
//
// A command is the head of package command, the group's name in bytes, then by kind
//
//	1 join     uvarint member, 0 for a new one; bytes token; bytes instance, "" for none;
//	           uvarint former member, 0 for none; uvarint session, uvarint rebalance, in milliseconds; byte assignor;
//	           uvarint number of topics, then the name of each in bytes
//	2 sync     uvarint member; uvarint epoch; uvarint number of partitions given up,
//	           then each
//	3 leave    uvarint member
//	4 expire   uvarint member; uvarint beats, as known of it
//	5 topics   begins a generation that is due, or if something is new;
//	           uvarint version, the index of the meta log;
//	           uvarint number, then of each, ascending by id: bytes name, uvarint id,
//	           uvarint partitions;
//	           uvarint number of those that are gone, then the id of each
//	6 commit   uvarint member, 0 for none; uvarint epoch; uvarint sequence, 0 for none;
//	           uvarint number, then of each: partition, uvarint offset, bytes metadata
//	7 reset    uvarint number, then of each: partition, uvarint offset + 1, 0 to forget it
//	8 delete
//
// where a partition is its topic's id and its number, each a uvarint. Every command, sound
// or not, takes an offset of the log, as a record does in a partition's; so the log can be
// trimmed by their count (State.LogStart).
//
// A saved state, in which everything ascends, is
//
//	byte     'G': no state of a partition begins so
//	byte     format version, 3
//	uvarint  segment bytes
//	uvarint  number of commands so far
//	uvarint  offset of the first that the bytes of those after it let be kept
//	uvarint  offset of the first that is to be so next
//	uvarint  bytes of the commands from that on
//	clock    of package idle
//	uvarint  last id of a member given out
//	uvarint  number of groups, then of each
//	  bytes    name
//	  uvarint  generation
//	  byte     1 if another is due, else 0
//	  uvarint  when the last member went, by the clock
//	  uvarint  version of what it knows of topics
//	  topics   as in the command
//	  uvarint  number of members, then of each
//	    uvarint  id
//	    bytes    token
//	    bytes    instance
//	    uvarint  session, uvarint rebalance, in milliseconds
//	    byte     assignor
//	    uvarint  number of topics, then the name of each in bytes
//	    uvarint  epoch
//	    uvarint  number of its joins and syncs
//	    uvarint  sequence of its last commit, 0 for none
//	    uvarint  number of partitions of its target, then each
//	  uvarint  number of partitions that are owned, then of each
//	    partition, uvarint owner, uvarint the owner's epoch when it was granted,
//	    uvarint its epoch when it was last told to keep it
//	  uvarint  number of offsets, then of each
//	    partition, uvarint offset, bytes metadata
//
// in the numbers of broker/codec. Equal states give equal bytes.
package group
