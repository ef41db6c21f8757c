// Package workloads says what clients do: it makes the operations of a run from a
// seed, as data. Package runner carries them out on a client, in simulated and in
// real runs alike. Package workloads never sees a client or a node.
package workloads

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Action is what an operation does.
type Action string

// Actions. What is known of a partition is known to the client that acts, from
// its own operations.
const (
	// Produce appends Count records by the client's idempotent producer,
	// ProducePlain without an identity, ProduceNone with acks=none.
	Produce      Action = "produce"
	ProducePlain Action = "produce-plain"
	ProduceNone  Action = "produce-none"
	// Poll fetches from where the client stands in the partition. If that lies
	// below the log start, the client asks for the log start instead.
	Poll Action = "poll"
	// Reread fetches from Part thousandths of the known log.
	Reread Action = "reread"
	// Tail fetches at the known end, Beyond Count offsets above it.
	Tail   Action = "tail"
	Beyond Action = "beyond"
	// Earliest and Latest list an offset.
	Earliest Action = "earliest"
	Latest   Action = "latest"
	// AtTime asks for the first record whose time stamp is not before Stamp.
	AtTime Action = "at-time"
	// Trim deletes the records below Part thousandths of the known log, TrimAll all
	// there are.
	Trim    Action = "trim"
	TrimAll Action = "trim-all"
	// Create and Delete make and remove a topic that is the client's own. What it
	// does with such a topic while that is not there is left out.
	Create Action = "create"
	Delete Action = "delete"
	// Init asks for a producer id, Renew for the next epoch of the last one.
	Init  Action = "init"
	Renew Action = "renew"
)

// Op is one operation of one client. It stands for itself: to take one out of a
// list changes no other.
type Op struct {
	Client int `json:"client"`
	// Number counts the client's operations from 0.
	Number int `json:"number"`
	// At is when it is to begin, after the start of the run. It begins later if
	// the client is still busy.
	At     histories.Time `json:"at"`
	Action Action         `json:"do"`
	// Topic and Partition, where the action has any. Own: only this client uses
	// the topic.
	Topic     string        `json:"topic,omitempty"`
	Own       bool          `json:"own,omitempty"`
	Partition api.Partition `json:"partition,omitempty"`
	// Count of records to produce, of partitions to create, or of offsets.
	Count int `json:"count,omitempty"`
	// Size of a record's value in bytes.
	Size int `json:"size,omitempty"`
	// Part of the known log, in thousandths.
	Part int64 `json:"part,omitempty"`
	// Stamp is the time stamp of the first record to produce, in milliseconds since
	// 1970, or the one to look for; 0 leaves it to the client.
	Stamp int64 `json:"stamp,omitempty"`
	// Wait is how long a fetch may wait for records, in milliseconds.
	Wait int32 `json:"wait,omitempty"`
}

// MaxRecords bounds the records of one operation.
const MaxRecords = 256

// Time is the time stamp of the i-th record, 0 if the operation gives none. The time
// stamps of a batch do not ascend.
func (o *Op) Time(i int) api.Milliseconds {
	if o.Stamp == 0 {
		return 0
	}
	return api.Milliseconds(o.Stamp + int64(i)*37%64)
}

// Value is the i-th value that an operation produces; no other operation of the
// run has it. i is below MaxRecords.
func (o *Op) Value(i int) histories.Value {
	return histories.Value(o.Client+1)<<40 | histories.Value(o.Number)<<8 | histories.Value(i)
}
