package checker

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Facts is what a simulation knows that no client saw.
type Facts struct {
	Logs []Log
}

// Log is the committed log of a partition as it stood at the end of the run.
type Log struct {
	Topic     string
	Partition api.Partition
	// Records is every record that was ever committed, trimmed ones too: offsets
	// from 0, ascending. Corrupt is not looked at.
	Records []histories.Record
}

// Run is what a simulation counted, for the thresholds.
type Run struct {
	// ProcessFaults, NetworkFaults: the family was on.
	ProcessFaults bool `json:"process_faults"`
	NetworkFaults bool `json:"network_faults"`
	// LeaderChanges under which the old leader had an unacknowledged suffix.
	LeaderChanges int `json:"leader_changes"`
	// LossyCrashes that lost unsynced bytes.
	LossyCrashes int `json:"lossy_crashes"`
	// Cuts that hit an operation under way.
	Cuts int `json:"cuts"`
}

// Thresholds are what a run must reach to prove something. Zero asks nothing.
type Thresholds struct {
	Operations   int
	Acknowledged int
	// LeaderChanges and LossyCrashes are asked where process faults were on, Cuts
	// where network faults were.
	LeaderChanges int
	LossyCrashes  int
	Cuts          int
	// FinalRead: every partition must have been read whole at the end.
	FinalRead bool
	// Read: every partition must have been read whole at the end, or every acknowledged
	// value of it by somebody.
	Read bool
	// Trimmed values that nobody read, or no member of a group was done with, are allowed
	// to be unjudged.
	AllowUnjudged bool
}

// Standard is what the standard plan of the simulator must reach: 3 nodes, 4
// partitions, 5 clients, 60 virtual seconds.
func Standard() Thresholds {
	return Thresholds{
		Operations: 1500, Acknowledged: 500,
		LeaderChanges: 2, LossyCrashes: 1, Cuts: 1,
		FinalRead: true,
	}
}

// Recorded is what a history from anywhere must reach: something was acknowledged, and what
// was has been read.
func Recorded() Thresholds { return Thresholds{Acknowledged: 1, Read: true} }

// Options say how to judge.
type Options struct {
	Thresholds Thresholds
	// Run is nil where nobody counted: then what it holds is not asked for.
	Run *Run
	// Retention: the broker trims every topic by itself, not only when it is told to. A
	// history may say so itself, and of which topics.
	Retention bool
}

// shortfalls says in which ways a run proved too little.
func (t *Thresholds) shortfalls(r *Report, run *Run) []string {
	var reasons []string
	ask := func(what string, have, want int) {
		if have < want {
			reasons = append(reasons, fmt.Sprintf("%s: %d, and at least %d are asked for", what, have, want))
		}
	}
	ask("operations", r.Counts.Operations, t.Operations)
	ask("operations acknowledged", r.Counts.Acknowledged, t.Acknowledged)
	if run != nil && run.ProcessFaults {
		ask("leader changes with an unacknowledged suffix", run.LeaderChanges, t.LeaderChanges)
		ask("crashes that lost unsynced bytes", run.LossyCrashes, t.LossyCrashes)
	}
	if run != nil && run.NetworkFaults {
		ask("cuts that hit an operation under way", run.Cuts, t.Cuts)
	}
	for _, p := range r.Partitions {
		key := Key{p.Topic, p.Partition}
		if t.FinalRead && !p.FinalRead {
			reasons = append(reasons, fmt.Sprintf("%v: the final read did not go through from the log start to the end", key))
		}
		if t.Read && !p.FinalRead && p.Unread > 0 {
			reasons = append(reasons, fmt.Sprintf("%v: nobody read %d acknowledged values, and no final read went through from the log start to the end", key, p.Unread))
		}
		if t.Read && p.FinalRead && p.late > 0 {
			reasons = append(reasons, fmt.Sprintf("%v: nobody read %d values that were acknowledged after the final read", key, p.late))
		}
		if !t.AllowUnjudged && p.Unjudged > 0 {
			reasons = append(reasons, fmt.Sprintf("%v: %d acknowledged values were trimmed before anyone read them", key, p.Unjudged))
		}
	}
	for _, g := range r.Groups {
		if !t.AllowUnjudged && g.Unjudged > 0 {
			reasons = append(reasons, fmt.Sprintf("group %q in %v: %d records that nobody was done with may have been deleted", g.Group, Key{g.Topic, g.Partition}, g.Unjudged))
		}
	}
	return reasons
}
