// Package trace is how the core says what happened without a clock, a file or a
// format: it hands an Event to the Sink that it was given. A real node turns
// events into structured log lines; the simulator counts them as coverage marks
// and lays the leader changes beside a history.
//
// An event never changes what the core does next.
package trace

import "github.com/reprise-mq/reprise/broker/api"

// Level says whom an event is for.
type Level uint8

// Levels, from the least to the most urgent.
const (
	// Mark: a rare path was taken; of interest to a campaign's coverage.
	Mark Level = iota
	// Info: a change that an operator wants to find in the log.
	Info
	// Warn: something is wrong that the node can live with.
	Warn
	// Fatal: the node cannot go on.
	Fatal
)

// Event is something that happened. Fields that do not apply are zero.
type Event struct {
	Level Level
	// Name is a fixed phrase of the code, such as "became leader"; events of one
	// kind share it.
	Name    string
	Group   api.GroupID
	Replica api.ReplicaID
	Term    api.Term
	Index   api.Index
	// File that it is about, and how many of its bytes.
	File  string
	Bytes int64
	// Detail is free text for people.
	Detail string
}

// Sink takes events. It must not call back into the core.
type Sink func(Event)

// Discard is the sink of whoever does not care.
func Discard(Event) {}
