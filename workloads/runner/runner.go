// Package runner carries a workload's operations out on a client core, and records
// what came of them. The core's driver drives the runner too: it acts only when
// the core calls back. It never judges what it sees.
package runner

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/workloads"
)

// Log is where operations are recorded: one recorder and one clock for the whole
// run.
type Log struct {
	Recorder *histories.Recorder
	Now      func() histories.Time
}

// Config is one client's part of a workload.
type Config struct {
	Log Log
	// Ops of this client, ascending by number.
	Ops []workloads.Op
	// Window is how many operations are under way at once, at least 1.
	Window int
	// There reports whether a shared topic has a partition yet; nil: it has all. What is
	// to be done to one that it does not have is left out.
	There func(topic string, p api.Partition) bool
	// Timeout of each operation.
	Timeout env.Time
	// Done is called when the last operation has ended.
	Done func()
}

// Runner is one client of a workload. A client that crashes and comes back is the
// same Runner on another core.
type Runner struct {
	config Config
	client *core.Client
	// life counts the cores: what an earlier one calls back is dropped.
	life  int
	next  int
	slots []*slot
	// alarm: the core will call when the next operation is due.
	alarm bool
	over  bool

	places map[place]*known
	owned  map[string]*owned
	// producer is the last one that Init or Renew gave, 0 before.
	producer api.ProducerID
	epoch    api.Epoch
}

// slot is room for one operation under way. Its process is replaced whenever an
// operation's outcome stays unknown.
type slot struct {
	process histories.Process
	// acted: process is one that has a place in the history.
	acted, busy bool
	// stood[p] is one past the last record of a partition given to the process.
	stood map[place]api.Offset
}

type place struct {
	topic     string
	partition api.Partition
}

// known is what a client knows of a partition.
type known struct {
	// start and end are the greatest heard of.
	start, end api.Offset
	// position is where to poll next.
	position api.Offset
	// trimmed: position lies below the log start.
	trimmed bool
}

// owned is a topic of the client's own.
type owned struct {
	// incarnation counts the creations that happened.
	incarnation int
	partitions  int
	there       bool
	// pending: a creation or deletion is under way.
	pending bool
	// lost: whether it is there is unknown; so its name is not used for another.
	lost bool
}

// New makes a runner. It is idle until Start.
func New(config Config) *Runner {
	r := &Runner{config: config, places: map[place]*known{}, owned: map[string]*owned{}}
	for range max(1, config.Window) {
		r.slots = append(r.slots, &slot{})
	}
	return r
}

// Start goes on with the operations on a core. The driver flushes the core
// afterwards, as after any call.
func (r *Runner) Start(client *core.Client) {
	r.client = client
	r.alarm = false
	r.step()
}

// Crash ends what is under way, its outcome unknown: the core is gone. Start gives
// the runner another one.
func (r *Runner) Crash() {
	r.life++
	for _, s := range r.slots {
		if s.busy {
			r.info(s, api.Code_DISCONNECTED)
			s.busy = false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.owned)) {
		own := r.owned[name]
		own.lost, own.pending = own.lost || own.pending, false
	}
}

// Left counts the operations that have not begun.
func (r *Runner) Left() int { return len(r.config.Ops) - r.next }

// step begins what is due, as far as there is room.
func (r *Runner) step() {
	for r.next < len(r.config.Ops) {
		s := r.free()
		if s == nil {
			return
		}
		op := &r.config.Ops[r.next]
		if pause := op.At - r.config.Log.Now(); pause > 0 {
			r.wait(env.Time(pause))
			return
		}
		r.next++
		r.begin(s, op)
	}
	r.finish()
}

func (r *Runner) free() *slot {
	for _, s := range r.slots {
		if !s.busy {
			return s
		}
	}
	return nil
}

func (r *Runner) wait(pause env.Time) {
	if r.alarm {
		return
	}
	r.alarm = true
	life := r.life
	r.client.After(pause, func() {
		if r.life == life {
			r.alarm = false
			r.step()
		}
	})
}

// finish tells that all is done, once.
func (r *Runner) finish() {
	for _, s := range r.slots {
		if s.busy {
			return
		}
	}
	if !r.over {
		r.over = true
		if r.config.Done != nil {
			r.config.Done()
		}
	}
}

// invoke records that an operation begins, and gives the function that takes its
// result: it records the end by what judge makes of it.
func (r *Runner) invoke(s *slot, call histories.Call, judge func(core.Result)) func(core.Result) {
	if !s.acted {
		s.process = r.config.Log.Recorder.NewProcess()
		s.acted, s.stood = true, map[place]api.Offset{}
	}
	s.busy = true
	r.config.Log.Recorder.Invoke(r.config.Log.Now(), s.process, call)
	life := r.life
	return func(result core.Result) {
		if r.life != life {
			return
		}
		judge(result)
		s.busy = false
		r.step()
	}
}

func (r *Runner) ok(s *slot, answer histories.Answer) {
	r.config.Log.Recorder.Ok(r.config.Log.Now(), s.process, answer)
}

func (r *Runner) fail(s *slot, code api.Code) {
	r.config.Log.Recorder.Fail(r.config.Log.Now(), s.process, code)
}

// info records that the outcome is unknown; the process is done.
func (r *Runner) info(s *slot, code api.Code) {
	r.config.Log.Recorder.Info(r.config.Log.Now(), s.process, code)
	s.acted = false
}

// change ends an operation that changes something and did not go well.
func (r *Runner) change(s *slot, result core.Result) {
	if result.Definite {
		r.fail(s, result.Err.Code)
		return
	}
	code := result.Err.GetCode()
	if code == api.Code_OK {
		// Produced without acknowledgement.
		code = api.Code_TIMED_OUT
	}
	r.info(s, code)
}
