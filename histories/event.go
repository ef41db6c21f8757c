package histories

import (
	"fmt"
	"math"

	"github.com/reprise-mq/reprise/broker/api"
)

// Index numbers the events of a history from 0, without gaps.
type Index int64

// Never is the index of what is still to come when the history ends.
const Never Index = math.MaxInt64

// Time is nanoseconds since the start of the run. It never goes back.
type Time int64

// Process numbers the client processes of a run from 0.
type Process int64

// Nemesis is the process of the notes.
const Nemesis Process = -1

// Value is the number that a record carries. No two records that clients sent
// carry the same one.
type Value int64

// Unreadable is the value of a record whose bytes are no payload at all.
const Unreadable Value = -1

// NoOffset stands for an offset that the client was not told.
const NoOffset api.Offset = -1

// Kind says what an event tells of its operation.
type Kind uint8

// Kinds of events.
const (
	// Invoke: a process began an operation.
	Invoke Kind = iota
	// Ok: the operation happened; the answer is known.
	Ok
	// Fail: the operation did not happen and never will.
	Fail
	// Info: the operation may have happened, or may still.
	Info
	// Noted: something that no client saw.
	Noted
)

var kindNames = [...]string{Invoke: "invoke", Ok: "ok", Fail: "fail", Info: "info", Noted: "note"}

// String is the kind's name in a history.
func (k Kind) String() string { return name(kindNames[:], int(k)) }

// Op is what an operation does, or what a note is of.
type Op uint8

// Operations, then kinds of notes.
const (
	Produce Op = iota
	Fetch
	ListOffsets
	DeleteRecords
	CreateTopic
	DeleteTopic
	InitProducer
	// Commit commits how far a consumer group has come, FetchOffset asks how far it has.
	Commit
	FetchOffset
	// Fault notes that a fault begins, ends or strikes.
	Fault
	// Leader notes that a node became the leader of a group.
	Leader
	// Assigned notes that a member of a consumer group begins to read a partition;
	// Processed that it is done with what it was handed of it so far; Revoked that it has
	// stopped and gives it up, Lost that it was taken from it.
	Assigned
	Processed
	Revoked
	Lost
	// Retention notes that the broker gives records of a topic up by itself.
	Retention
)

var opNames = [...]string{
	Produce: "produce", Fetch: "fetch", ListOffsets: "list_offsets", DeleteRecords: "delete_records",
	CreateTopic: "create_topic", DeleteTopic: "delete_topic", InitProducer: "init_producer",
	Commit: "commit", FetchOffset: "fetch_offset",
	Fault: "fault", Leader: "leader", Assigned: "assigned", Processed: "processed", Revoked: "revoked", Lost: "lost",
	Retention: "retention",
}

// String is the operation's name in a history.
func (o Op) String() string { return name(opNames[:], int(o)) }

// Phase says which moment of a fault a note marks.
type Phase uint8

// Phases of a fault.
const (
	// Point: a fault without length.
	Point Phase = iota
	Begin
	End
)

var phaseNames = [...]string{Point: "point", Begin: "begin", End: "end"}

// String is the phase's name in a history.
func (p Phase) String() string { return name(phaseNames[:], int(p)) }

// Event is one line of a history.
type Event struct {
	Index   Index
	Time    Time
	Process Process
	Kind    Kind
	Op      Op
	// Call is set on an Invoke, and only there.
	Call *Call
	// Answer is set on an Ok, and may be on the Fail or Info of a Fetch.
	Answer *Answer
	// Code is set on a Fail or Info.
	Code api.Code
	// Note is set on a Noted event, and only there.
	Note *Note
}

// Call is what a client asked for. Fields that the operation has no use for are
// zero.
type Call struct {
	Op Op
	// Topic is the topic's name; every operation but InitProducer and Commit has one.
	Topic     string
	Partition api.Partition
	// Values of a Produce: one record batch.
	Values []Value
	// Times are the time stamps of the values; nil where they are not known.
	Times []int64
	Acks  api.Acks
	// Producer, Epoch and Sequence of an idempotent Produce (its first record's);
	// of an InitProducer the id to be renewed. Producer 0 is none.
	Producer api.ProducerID
	Epoch    api.Epoch
	Sequence api.Sequence
	// Offset is where a Fetch begins, or below which DeleteRecords deletes.
	Offset api.Offset
	// Spec says which end of the log ListOffsets asks for.
	Spec api.OffsetSpec
	// Time is the time stamp that ListOffsets looks for, with AT_TIME.
	Time int64
	// Partitions is how many CreateTopic asks for.
	Partitions int32
	// Continue: the client chose the Fetch's offset, as the one after the last
	// record of the partition that this process was given.
	Continue bool
	// Final: part of the full read at the end of the run.
	Final bool
	// Group of a Commit or a FetchOffset, and of a Fetch whose records a member of it
	// was handed. Member is who: 0 is nobody, who may commit while there are no members.
	Group  string
	Member uint64
	// Offsets of a Commit: all are committed, or none.
	Offsets []GroupOffset
}

// GroupOffset is how far a group has come in a partition: to which record it reads next.
type GroupOffset struct {
	Topic     string
	Partition api.Partition
	Offset    api.Offset
}

// Answer is what a client was told. Fields that the operation has no use for are
// zero.
type Answer struct {
	// Offset of a Produce's first record, or that ListOffsets found, or that FetchOffset
	// heard is committed: NoOffset if none is.
	Offset api.Offset
	// Found and Time: the ListOffsets of a time stamp found one, and which.
	Found bool
	Time  int64
	// Records that a Fetch returned, from the offset that was asked for.
	Records []Record
	// HighWatermark that a Fetch was told, or NoOffset.
	HighWatermark api.Offset
	// LogStart that Produce, Fetch or DeleteRecords was told, or NoOffset; also the one
	// from which ListOffsets looked for a time stamp.
	LogStart api.Offset
	// Producer and Epoch that InitProducer was given.
	Producer api.ProducerID
	Epoch    api.Epoch
}

// Record is one record as a client read it.
type Record struct {
	Offset api.Offset
	Value  Value
	// Corrupt: the payload failed its checksum; Value is what it claims to be.
	Corrupt bool
}

// Note is something that no client saw.
type Note struct {
	Op Op
	// Name, Target and Phase of a Fault.
	Name   string
	Target string
	Phase  Phase
	// Topic and Partition that a Leader leads; an empty topic is the meta group. Those of
	// an Assigned, Processed, Revoked or Lost too; a Retention has a topic, or is of all.
	Topic     string
	Partition api.Partition
	Term      api.Term
	Node      api.NodeID
	// Group and Member of an Assigned, Processed, Revoked or Lost. Offset is where an
	// Assigned begins to read, and Committed says that the group had committed it; of a
	// Processed it is one past the last record.
	Group     string
	Member    uint64
	Offset    api.Offset
	Committed bool
}

// name looks an enumeration's name up.
func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%d?", i)
}
