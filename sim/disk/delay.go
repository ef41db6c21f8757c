package disk

import (
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Speed is how long a healthy disk takes.
type Speed struct {
	// SyncMin and SyncMax bound a sync, LoadMin and LoadMax a load or list.
	SyncMin, SyncMax env.Time
	LoadMin, LoadMax env.Time
	// PerKiB is added for every KiB written since the last sync, or loaded.
	PerKiB env.Time
	// One in TailIn operations takes TailTimes as long; 0 is never.
	TailIn, TailTimes int64
}

// Normal is a decent SSD.
var Normal = Speed{
	SyncMin: 150 * env.Microsecond, SyncMax: 900 * env.Microsecond,
	LoadMin: 40 * env.Microsecond, LoadMax: 300 * env.Microsecond,
	PerKiB: 2 * env.Microsecond,
	TailIn: 200, TailTimes: 15,
}

// Purposes of the draws.
const (
	drawDelay = iota + 1
	drawTail
	drawMode
	drawKeep
	drawShape
	drawFrom
	drawTo
	drawSize
	drawNames
	drawElsewhere
	drawMissed
)

func (d *Disk) syncDelay(f *file) env.Time {
	bytes := 0
	if f != nil {
		for _, c := range f.pending {
			bytes += len(c.data)
		}
	}
	return d.delay(d.speed.SyncMin, d.speed.SyncMax, bytes)
}

func (d *Disk) loadDelay(bytes int) env.Time {
	return d.delay(d.speed.LoadMin, d.speed.LoadMax, bytes)
}

func (d *Disk) delay(low, high env.Time, bytes int) env.Time {
	d.operations++
	t := low + env.Time(prng.Scale(prng.Hash(d.seed, d.operations, drawDelay), int64(high-low)+1))
	t += d.speed.PerKiB * env.Time(bytes/1024)
	if d.speed.TailIn > 0 && prng.Scale(prng.Hash(d.seed, d.operations, drawTail), d.speed.TailIn) == 0 {
		t *= env.Time(d.speed.TailTimes)
	}
	return t * env.Time(d.slow)
}

// lane is the queue of one file or folder: its operations finish in the order in
// which they were called.
type lane struct {
	waiting []func()
	busy    env.Time // when the last of them is to finish
}

// later finishes an operation after a delay, and after those called before it.
func (h *Handle) later(l *lane, delay env.Time, done func()) {
	d := h.disk
	l.waiting = append(l.waiting, done)
	l.busy = max(l.busy, d.agenda.Now()+delay)
	d.agenda.At(l.busy, func() { h.finish(l) })
}

// finish finishes the first operation of a lane, unless the disk is stalled.
func (h *Handle) finish(l *lane) {
	d := h.disk
	if h.dead() {
		return
	}
	if d.agenda.Now() < d.stalledTill {
		d.agenda.At(d.stalledTill, func() { h.finish(l) })
		return
	}
	done := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	done()
}
