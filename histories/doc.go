// Package histories is what the clients of a run saw: the format of a history,
// its recording, reading, writing and its export to Jepsen. It judges nothing
// (package checker does) and knows no broker.
//
// # Events
//
// A history is a list of events. A client process invokes an operation and later
// completes it: ok (it happened, here is the answer), fail (it did not happen
// and never will) or info (nobody knows). A process has at most one operation
// under way, and one whose operation ended info never acts again: a new process
// takes its place. Events are ordered by their index alone, which counts from 0
// without gaps; many may share an instant. Beside them stand notes: faults and
// changes of leader, which no client saw, for whoever draws the history.
//
// The values of a history are unique numbers, each carried by one record. A
// produce is one record batch: its values stand at consecutive offsets, all or
// none. acks=none is always completed by info. An idempotent retry is part of
// its operation. A topic name stands for one incarnation: where a workload
// creates a deleted topic again, it records the second under another name.
//
// # Format
//
// JSON Lines: one event a line, ended by a newline, at most MaxLine bytes. Fields
// are written in a fixed order; they may be read in any. Times are nanoseconds
// since the start of the run. A completion does not repeat what was asked: it
// belongs to the last invocation of its process.
//
// Produce: the values of one record batch; producer, epoch and sequence are left
// out where the producer is not idempotent. The answer's offset is the first
// value's.
//
//	{"index":0,"time":1000,"process":3,"kind":"invoke","op":"produce","topic":"t0","partition":2,"values":[17,18],"acks":"all","producer":5,"epoch":0,"sequence":40}
//	{"index":1,"time":2500,"process":3,"kind":"ok","op":"produce","offset":34,"log_start":0}
//
// An operation that did not happen, and one of which nobody knows; the error is
// the last attempt's code in broker/api:
//
//	{"index":1,"time":2500,"process":3,"kind":"fail","op":"produce","error":"NOT_LEADER"}
//	{"index":1,"time":2500,"process":3,"kind":"info","op":"produce","error":"LEADERSHIP_LOST"}
//
// Fetch: a record is [offset,value], or [offset,value,"corrupt"] where its payload
// failed its checksum. "continue" says that the offset is where this process
// stood, one past the last record it was given (and the checker holds the client
// to that); without it the workload chose the offset. "final" marks the full read
// at the end of a run, of every partition from its log start to its end: to where
// a final fetch found nothing, or to the end that a final list offsets told. A fetch
// that did not end ok may have an answer too: what it got before it went wrong,
// with -1 for what it did not hear.
//
//	{"index":2,"time":3000,"process":4,"kind":"invoke","op":"fetch","topic":"t0","partition":2,"offset":34,"continue":true,"final":true}
//	{"index":3,"time":3900,"process":4,"kind":"ok","op":"fetch","records":[[34,17],[35,18,"corrupt"]],"high_watermark":36,"log_start":0}
//	{"index":3,"time":3900,"process":4,"kind":"fail","op":"fetch","error":"OFFSET_OUT_OF_RANGE","records":[],"high_watermark":20,"log_start":-1}
//
// List offsets: the end of a partition ("latest") or its log start ("earliest").
//
//	{"index":4,"time":4000,"process":5,"kind":"invoke","op":"list_offsets","topic":"t0","partition":2,"spec":"latest","final":true}
//	{"index":5,"time":4100,"process":5,"kind":"ok","op":"list_offsets","offset":36}
//
// Delete records below an offset; -1 is all that are there.
//
//	{"index":6,"time":5000,"process":5,"kind":"invoke","op":"delete_records","topic":"t0","partition":2,"before":20}
//	{"index":7,"time":5100,"process":5,"kind":"ok","op":"delete_records","log_start":20}
//
// Topics:
//
//	{"index":8,"time":6000,"process":5,"kind":"invoke","op":"create_topic","topic":"t1","partitions":4}
//	{"index":9,"time":6100,"process":5,"kind":"ok","op":"create_topic"}
//	{"index":10,"time":6200,"process":5,"kind":"invoke","op":"delete_topic","topic":"t1"}
//	{"index":11,"time":6300,"process":5,"kind":"ok","op":"delete_topic"}
//
// Producer ids: producer and epoch are left out of the call that asks for a new
// id, and otherwise name the one to be replaced by its next epoch.
//
//	{"index":12,"time":7000,"process":3,"kind":"invoke","op":"init_producer","producer":5,"epoch":0}
//	{"index":13,"time":7100,"process":3,"kind":"ok","op":"init_producer","producer":5,"epoch":1}
//
// Notes: a fault (name and target are the fault plan's words; phase is begin, end,
// or point for one without length) and a leader that was elected (of the meta
// group where topic and partition are left out). Their process is -1.
//
//	{"index":14,"time":8000,"process":-1,"kind":"note","op":"fault","name":"crash","target":"node 2","phase":"begin"}
//	{"index":15,"time":8500,"process":-1,"kind":"note","op":"leader","topic":"t0","partition":2,"term":7,"node":3}
//
// Retention: the broker gives old records of a topic up by itself at any time of the run
// (those of every topic, where topic is left out). Without such a note only delete records
// does, unless whoever judges the history says otherwise.
//
//	{"index":0,"time":0,"process":-1,"kind":"note","op":"retention","topic":"t0"}
//
// Time stamps: those of a produce's records stand beside their values, where they are
// known; the first record from a time on is looked for, from the log start on. Without
// found, there is none, and offset is the end.
//
//	{"index":16,"time":9000,"process":3,"kind":"invoke","op":"produce","topic":"t0","partition":2,"values":[19,20],"times":[1700,1650],"acks":"all"}
//	{"index":17,"time":9100,"process":3,"kind":"ok","op":"produce","offset":36,"log_start":20}
//	{"index":18,"time":9200,"process":5,"kind":"invoke","op":"list_offsets","topic":"t0","partition":2,"spec":"at_time","at":1660}
//	{"index":19,"time":9300,"process":5,"kind":"ok","op":"list_offsets","offset":36,"found":true,"stamp":1700,"log_start":20}
//
// Consumer groups: a commit of how far a group has come, all or none of it, by the member
// that owns the partitions (left out: by nobody's); how far it has, -1 where nothing is
// committed; and which member begins to read a partition, at which offset ("committed":
// because the group had committed that one), is done with what it was handed (below an
// offset), stops, or lost it. What a member was handed is a fetch that names it, by a
// process of its own for each time it owns a partition.
//
//	{"index":20,"time":9400,"process":-1,"kind":"note","op":"assigned","group":"g","member":7,"topic":"t0","partition":2,"offset":34,"committed":true}
//	{"index":21,"time":9500,"process":6,"kind":"invoke","op":"fetch","topic":"t0","partition":2,"offset":34,"continue":true,"group":"g","member":7}
//	{"index":22,"time":9600,"process":6,"kind":"ok","op":"fetch","records":[[34,17]],"high_watermark":36,"log_start":0}
//	{"index":23,"time":9650,"process":-1,"kind":"note","op":"processed","group":"g","member":7,"topic":"t0","partition":2,"offset":35}
//	{"index":24,"time":9700,"process":7,"kind":"invoke","op":"commit","group":"g","member":7,"offsets":[["t0",2,35]]}
//	{"index":25,"time":9800,"process":7,"kind":"ok","op":"commit"}
//	{"index":26,"time":9900,"process":-1,"kind":"note","op":"revoked","group":"g","member":7,"topic":"t0","partition":2}
//	{"index":27,"time":9950,"process":5,"kind":"invoke","op":"fetch_offset","group":"g","topic":"t0","partition":2}
//	{"index":28,"time":9980,"process":5,"kind":"ok","op":"fetch_offset","offset":35}
//	{"index":29,"time":9990,"process":-1,"kind":"note","op":"lost","group":"g","member":8,"topic":"t0","partition":3}
//
// # Payload
//
// A record's value carries its number and proves that it arrived whole:
//
//	0       4               12
//	+-------+---------------+------------------------+
//	| crc   | value         | filler, of any length  |
//	+-------+---------------+------------------------+
//
// crc is the CRC-32C of what follows; both numbers are little-endian. The filler
// is determined by the value, and does not compress.
package histories
