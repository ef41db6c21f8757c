package histories

import (
	"fmt"
	"io"

	"github.com/reprise-mq/reprise/broker/api"
)

// History is the events of a run, in order.
type History struct {
	Events []Event
}

// Append adds an event.
func (h *History) Append(e Event) { h.Events = append(h.Events, e) }

// Read reads a whole history and holds it to the rules (see Operations).
func Read(from io.Reader) (*History, error) {
	h := &History{}
	r := NewReader(from)
	for {
		e, err := r.Next()
		if err == io.EOF {
			return h, nil
		}
		if err != nil {
			return nil, err
		}
		h.Append(e)
	}
}

// Write writes the whole history.
func (h *History) Write(to io.Writer) error {
	w := NewWriter(to)
	for _, e := range h.Events {
		if err := w.Write(e); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Operation is an invocation with its completion.
type Operation struct {
	Process Process
	Call    *Call
	// Invoked is the index of the invocation.
	Invoked   Index
	InvokedAt Time
	// Outcome is Ok, Fail or Info. An operation that the history does not complete
	// is Info.
	Outcome Kind
	// Completed is the index of the completion, or Never.
	Completed   Index
	CompletedAt Time
	// Answer is nil where the client was told nothing.
	Answer *Answer
	Code   api.Code
}

// Deadline is the index before which the operation took effect if ever it did: its
// completion, or Never if that does not tell. What a fetch was given it had seen by then,
// however it ended.
func (o *Operation) Deadline() Index {
	if o.Outcome == Info && o.Answer == nil {
		return Never
	}
	return o.Completed
}

// Operations pairs invocations with completions, in order of invocation. The
// error names the first event that breaks a rule.
func (h *History) Operations() ([]Operation, error) {
	operations := make([]Operation, 0, len(h.Events)/2)
	var rules rules
	// open[p] is the position of process p's last operation.
	open := make(map[Process]int)
	for i := range h.Events {
		e := &h.Events[i]
		if err := rules.step(e); err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		switch e.Kind {
		case Noted:
		case Invoke:
			open[e.Process] = len(operations)
			operations = append(operations, Operation{
				Process: e.Process, Call: e.Call, Invoked: e.Index, InvokedAt: e.Time,
				Outcome: Info, Completed: Never, CompletedAt: e.Time, Code: api.Code_DISCONNECTED,
			})
		default:
			o := &operations[open[e.Process]]
			o.Outcome, o.Completed, o.CompletedAt = e.Kind, e.Index, e.Time
			o.Answer, o.Code = e.Answer, e.Code
		}
	}
	return operations, nil
}

// Notes are the events that no client saw, in order.
func (h *History) Notes() []Event {
	var notes []Event
	for _, e := range h.Events {
		if e.Kind == Noted {
			notes = append(notes, e)
		}
	}
	return notes
}

// rules is what holds between the events of a history: dense indexes, time that
// does not go back, and processes that do one thing at a time.
type rules struct {
	next      Index
	now       Time
	processes map[Process]*processState
}

// step says what is wrong with e as the next event, or takes it.
func (r *rules) step(e *Event) error {
	if e.Index != r.next {
		return fmt.Errorf("index is %d and should be %d", e.Index, r.next)
	}
	if e.Time < r.now {
		return fmt.Errorf("time goes back from %d to %d", r.now, e.Time)
	}
	r.next, r.now = e.Index+1, e.Time
	if _, err := shape(e); err != nil || e.Kind == Noted {
		return err
	}
	if r.processes == nil {
		r.processes = make(map[Process]*processState)
	}
	s := r.processes[e.Process]
	if s == nil {
		s = &processState{}
		r.processes[e.Process] = s
	}
	return s.step(e)
}
