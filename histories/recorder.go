package histories

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
)

// Recorder numbers events and holds its callers to the rules of a history. It has
// no clock and no lock: a simulation hands in virtual time; a real run takes its
// one clock's reading and calls the Recorder under one lock.
//
// A call that breaks a rule (two operations at once, a process that acts again
// after Info) is a mistake of the program, and panics.
type Recorder struct {
	keep func(Event)
	next Index
	now  Time
	// processes[p] is what process p may do next.
	processes []processState
}

// NewRecorder hands every event to keep: History.Append, or whatever writes it to
// a file.
func NewRecorder(keep func(Event)) *Recorder { return &Recorder{keep: keep} }

// NewProcess gives a process that has not acted yet.
func (r *Recorder) NewProcess() Process {
	r.processes = append(r.processes, processState{})
	return Process(len(r.processes) - 1)
}

// Invoke records that a process begins an operation. The call's slices are kept.
func (r *Recorder) Invoke(at Time, process Process, call Call) {
	r.record(Event{Time: at, Process: process, Kind: Invoke, Op: call.Op, Call: &call})
}

// Ok records that a process's operation happened. The answer's slices are kept.
func (r *Recorder) Ok(at Time, process Process, answer Answer) {
	r.record(Event{Time: at, Process: process, Kind: Ok, Op: r.op(process), Answer: &answer})
}

// Fail records that a process's operation did not happen and never will: every
// attempt of it was answered by a definite code, or it cannot have had an effect
// (as a read).
func (r *Recorder) Fail(at Time, process Process, code api.Code) {
	r.record(Event{Time: at, Process: process, Kind: Fail, Op: r.op(process), Code: code})
}

// Info records that nobody knows whether a process's operation happened. The
// process must not be used again.
func (r *Recorder) Info(at Time, process Process, code api.Code) {
	r.record(Event{Time: at, Process: process, Kind: Info, Op: r.op(process), Code: code})
}

// FailedFetch records a Fail of a Fetch that heard something all the same; what it
// did not hear is NoOffset.
func (r *Recorder) FailedFetch(at Time, process Process, code api.Code, partial Answer) {
	r.record(Event{Time: at, Process: process, Kind: Fail, Op: Fetch, Code: code, Answer: &partial})
}

// Note records something that no client saw.
func (r *Recorder) Note(at Time, note Note) {
	r.record(Event{Time: at, Process: Nemesis, Kind: Noted, Op: note.Op, Note: &note})
}

// Len is the number of events recorded.
func (r *Recorder) Len() Index { return r.next }

func (r *Recorder) op(process Process) Op {
	if process < 0 || int(process) >= len(r.processes) {
		panic(fmt.Sprintf("histories: process %d was never given out", process))
	}
	return r.processes[process].op
}

func (r *Recorder) record(e Event) {
	e.Index = r.next
	if e.Time < r.now {
		panic(fmt.Sprintf("histories: time goes back from %d to %d at event %d", r.now, e.Time, e.Index))
	}
	if e.Kind != Noted {
		r.op(e.Process)
		if err := r.processes[e.Process].step(&e); err != nil {
			panic(fmt.Sprintf("histories: event %d: %v", e.Index, err))
		}
	}
	r.next, r.now = e.Index+1, e.Time
	r.keep(e)
}

// processState is what a process is doing. The zero value has not acted.
type processState struct {
	open, gone bool
	op         Op
}

// step says what is wrong with e as the process's next event, or takes it.
func (s *processState) step(e *Event) error {
	switch {
	case s.gone:
		return fmt.Errorf("process %d acts again after an operation of unknown outcome", e.Process)
	case e.Kind == Invoke && s.open:
		return fmt.Errorf("process %d invokes %v while its %v is under way", e.Process, e.Op, s.op)
	case e.Kind != Invoke && !s.open:
		return fmt.Errorf("process %d completes %v, which it did not invoke", e.Process, e.Op)
	case e.Kind != Invoke && s.op != e.Op:
		return fmt.Errorf("process %d completes %v while its %v is under way", e.Process, e.Op, s.op)
	}
	s.open, s.op, s.gone = e.Kind == Invoke, e.Op, e.Kind == Info
	return nil
}
