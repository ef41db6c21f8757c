package world

import (
	"crypto/rand" //detvet:allow world raft's election jitter reads its Reader, which is set to the host's own stream

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Config is what a machine is like.
type Config struct {
	Disk disk.Speed
	// Client: its links are a client's, in order until they break.
	Client bool
	// LateIn is how often a process comes to its Flush late, one time in so many;
	// otherwise it comes at the same instant, after the events of that instant.
	// 0 is never. LateMax is how late at most.
	LateIn  int64
	LateMax env.Time
}

// Host is a machine: the place of one process at a time.
type Host struct {
	Name env.Endpoint
	Disk *disk.Disk
	// After is called after every Flush, while the process is up.
	After func()

	world   *World
	config  Config
	seed    uint64
	entropy *prng.Stream // what crypto/rand reads while the process runs

	process env.Process // nil: down
	life    uint64
	paused  bool
	held    []func(env.Process) // calls that came while paused
	slow    int64               // every Flush is late, by so many times LateMax

	flushes  uint64 // numbers the draws of their times
	flushing bool   // a Flush is to come
	alarm    alarm
	hand     hand
	shift    int64 // of the time of day, in milliseconds
}

// Place is what a process is given to live in.
type Place struct {
	Clock   env.Clock
	Disk    env.Disk
	Network env.Network
	// Life counts the processes of the host, from 1.
	Life uint64
	// Random is a stream of this life's own.
	Random *prng.Stream
}

// Up reports whether the host has a process.
func (h *Host) Up() bool { return h.process != nil }

// Paused reports whether the process stands still.
func (h *Host) Paused() bool { return h.paused }

// Life counts the processes that the host has had.
func (h *Host) Life() uint64 { return h.life }

// Start begins a life with the process that boot makes.
func (h *Host) Start(boot func(Place) env.Process) {
	if h.Up() {
		panic("world: a host can have one process only")
	}
	w := h.world
	h.life++
	h.setHand(env.Time(prng.Scale(prng.Hash(h.seed, h.life, drawClock), int64(1000*env.Second))))
	h.alarm = alarm{next: -1}
	life := h.life
	place := Place{
		Clock:   clock{h: h, life: life},
		Disk:    h.Disk.Open(func(f func(env.Process)) { h.call(life, f) }),
		Network: sender{h: h, life: life},
		Life:    life,
		Random:  prng.New(prng.Hash(h.seed, life)),
	}
	w.Digest.Note(w.Agenda.Now(), "start", string(h.Name), life, nil)
	defer w.guard(h)
	rand.Reader = h.entropy
	h.process = boot(place)
	h.flushLater()
}

// Crash cuts the power: what was not synced meets its fate.
func (h *Host) Crash(c disk.Crash) disk.Loss {
	h.stop()
	return h.Disk.PowerOff(c)
}

// Kill ends the process; its disk keeps what it was told, synced or not.
func (h *Host) Kill() {
	h.stop()
	h.Disk.Kill()
}

// Pause makes the process stand still while time goes on. What comes for it waits.
func (h *Host) Pause() { h.paused = true }

// Resume ends a pause.
func (h *Host) Resume() {
	if !h.paused {
		return
	}
	h.paused = false
	held, life := h.held, h.life
	h.held = nil
	for _, f := range held {
		h.world.Agenda.After(0, func() { h.call(life, f) })
	}
	if h.flushing {
		h.flushing = false
		h.flushLater()
	}
}

// Slow makes every Flush late, by about so many times the usual bound; 0 ends it.
func (h *Host) Slow(times int64) { h.slow = times }

// Do runs f on the process, as an event of its own.
func (h *Host) Do(f func(env.Process)) { h.call(h.life, f) }

// stop takes the process away.
func (h *Host) stop() {
	if !h.Up() {
		return
	}
	w := h.world
	w.Digest.Note(w.Agenda.Now(), "stop", string(h.Name), h.life, nil)
	h.process, h.paused, h.held, h.flushing = nil, false, nil, false
	w.network.down(h)
}

// alive reports whether a call for a life still finds it.
func (h *Host) alive(life uint64) bool { return h.life == life && h.Up() }

// call makes one call of the process, or keeps it while the process is paused.
func (h *Host) call(life uint64, f func(env.Process)) {
	if !h.alive(life) {
		return
	}
	if h.paused {
		h.held = append(h.held, f)
		return
	}
	h.enter(f)
	h.flushLater()
}

func (h *Host) enter(f func(env.Process)) {
	defer h.world.guard(h)
	rand.Reader = h.entropy
	f(h.process)
	h.world.watcher.Returned(h.Name)
}

// flushLater draws when the burst that has begun ends.
func (h *Host) flushLater() {
	if h.flushing || !h.Up() {
		return
	}
	h.flushing = true
	life := h.life
	h.world.Agenda.After(h.lateness(), func() { h.flush(life) })
}

func (h *Host) lateness() env.Time {
	h.flushes++
	late := env.Time(prng.Scale(prng.Hash(h.seed, h.flushes, drawFlushTime), int64(h.config.LateMax)+1))
	switch {
	case h.slow > 0:
		return late * env.Time(h.slow)
	case h.config.LateIn > 0 && prng.Scale(prng.Hash(h.seed, h.flushes, drawFlush), h.config.LateIn) == 0:
		return late
	}
	return 0
}

func (h *Host) flush(life uint64) {
	if !h.alive(life) || h.paused || !h.flushing {
		return // after a pause, Resume asks for another
	}
	h.flushing = false
	w := h.world
	w.Digest.Note(w.Agenda.Now(), "flush", string(h.Name), h.flushes, nil)
	h.enter(env.Process.Flush)
	if h.Up() && h.After != nil {
		h.After()
	}
}

// sender is the network of one life.
type sender struct {
	h    *Host
	life uint64
}

func (s sender) Send(to env.Endpoint, message *api.Message) {
	if s.h.life == s.life {
		s.h.world.network.send(s.h, to, message)
	}
}
