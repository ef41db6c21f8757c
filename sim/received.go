package sim

import (
	"errors"
	"fmt"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
)

// Delivered is part of world.Watcher.
func (w watcher) Delivered(from, to env.Endpoint, frame []byte) {
	if w.received != nil {
		w.received.Note(w.world.Agenda.Now(), string(from), string(to), 0, frame)
	}
}

// told takes what a client is told at the end of an operation: without the
// number of the event, which the notes of faults shift.
func (r *run) told(e histories.Event) {
	if r.received == nil || e.Kind == histories.Invoke || e.Kind == histories.Noted {
		return
	}
	e.Index = 0
	w := histories.NewWriter(answers{r})
	if err := errors.Join(w.Write(e), w.Flush()); err != nil {
		panic(fmt.Sprintf("sim: an answer cannot be written: %v", err))
	}
}

// answers puts the lines of answers into the digest of what was received.
type answers struct{ *run }

func (a answers) Write(line []byte) (int, error) {
	a.received.Note(a.world.Agenda.Now(), "client", "", 0, line)
	return len(line), nil
}
