package core

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
)

type laneKey struct {
	topic     string
	partition api.Partition
	mode      Mode
}

// lane is the way of records into one partition in one mode: a queue of calls,
// from which batches are made when there is room in flight.
//
// With an identity a batch is sent while fewer than maxFlight were made since the
// oldest in flight. They are numbered without a gap, and a batch is tried again with its number until it is answered or all its
// calls passed their deadlines. When a batch ends in any other way than appended,
// its number is gone and the broker would refuse what follows: the lane is
// broken. It then makes no new batch. Batches in flight that are in doubt are
// tried until answered or past their deadlines; those that surely were not
// appended go back to the queue. With none left in flight, the lane gets the next
// epoch, which also fences attempts still on their way, and begins at sequence 0.
//
// Without an identity one batch is in flight at a time, so that the order of
// calls is kept.
type lane struct {
	client *Client
	key    laneKey
	// topic is the incarnation that is written to, 0 before it is known.
	topic api.TopicID

	queue []*produce
	// queued is the bytes in queue, numbered the calls so far.
	queued   int
	numbered uint64
	// awaited is set while the topic is looked up; calls up to number absent came
	// before a look-up that did not find it.
	awaited bool
	absent  uint64

	// flight holds the batches sent and not ended, by sequence.
	flight []*flight
	// formed counts the batches made, sent the attempts.
	formed, sent uint64
	// orphans are calls of a broken lane that go back to the head of the queue.
	orphans []*produce

	identity identity
	producer batch.Producer
	// broken: a sequence is gone. fresh: the next identity is a new id. gone: the
	// incarnation of the topic is no more, so a doubt will not be resolved.
	broken, fresh, gone bool

	// Pauses and redirects, as in operation.
	retryAt  env.Time
	failures int
	hops     int
	// lookAgain is when an unacknowledged lane looks for its leader again.
	lookAgain env.Time

	timer timer
	// expiry is when the first deadline may have passed; used when a call came.
	expiry env.Time
	used   env.Time
	// dirty: in client.dirty.
	dirty bool
}

type identity uint8

const (
	identityNone identity = iota
	identityAsked
	identityReady
)

const never env.Time = math.MaxInt64

func newLane(c *Client, key laneKey) *lane {
	l := &lane{client: c, key: key, expiry: never}
	l.timer.fire = func() { c.touch(l) }
	return l
}

// sortedLanes walks the lanes in the order of their keys.
func sortedLanes(lanes map[laneKey]*lane) iter.Seq[laneKey] {
	return slices.Values(slices.SortedFunc(maps.Keys(lanes), func(a, b laneKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition), cmp.Compare(a.mode, b.mode))
	}))
}

func (l *lane) put(p *produce) {
	l.numbered++
	p.number = l.numbered
	l.queue = append(l.queue, p)
	l.queued += p.bytes
	l.expiry = min(l.expiry, p.deadline)
	l.used = p.queued
	l.client.touch(l)
}

// pump does all that can be done now.
func (l *lane) pump() {
	now := l.client.clock.Now()
	if now >= l.expiry {
		l.expire(now)
	}
	if l.idle() {
		l.rest(now)
		return
	}
	if l.locate() && now >= l.retryAt {
		l.send(now)
	}
	l.arm(now)
}

func (l *lane) idle() bool {
	return len(l.queue) == 0 && len(l.flight) == 0 && len(l.orphans) == 0
}

// rest forgets the lane once it was idle for long.
func (l *lane) rest(now env.Time) {
	if now >= l.used+laneIdle && l.identity != identityAsked && !l.awaited {
		l.client.timers.stop(&l.timer) // else it would come back and forget the lane after it
		delete(l.client.lanes, l.key)
		return
	}
	l.client.timers.set(&l.timer, now+laneIdle)
}

// locate finds the topic and settles what an older incarnation left. It reports
// whether the partition is known and may be written to.
func (l *lane) locate() bool {
	c := l.client
	t := c.topic(l.key.topic)
	switch {
	case t == nil:
		l.refuse(l.numbered, tooManyTopics())
		return false
	case t.partition(l.key.partition) == nil && l.absent == 0:
		l.await(t)
		return false
	case t.partition(l.key.partition) == nil:
		l.leave()
		l.settle()
		l.refuse(l.absent, t.missing(l.key.partition))
		l.absent = 0
		if len(l.queue) > 0 {
			c.touch(l)
		}
		return false
	}
	l.absent = 0
	if t.id != l.topic {
		l.leave()
	}
	l.settle()
	if len(l.flight) == 0 {
		l.topic = t.id
	}
	return l.topic == t.id
}

// await has the topic looked up.
func (l *lane) await(t *topic) {
	if l.awaited {
		return
	}
	l.awaited = true
	upTo := l.numbered
	l.client.await(t, func(confirmed bool) {
		l.awaited = false
		if confirmed {
			l.absent = upTo
		}
		l.client.touch(l)
	})
}

// leave gives up the incarnation of the topic written to so far, if there is one.
func (l *lane) leave() {
	if l.topic != 0 {
		l.gone, l.broken, l.fresh = true, true, true
	}
}

// settle clears the flight of a broken lane of what need not be tried again, and
// mends the lane once nothing is in flight.
func (l *lane) settle() {
	if !l.broken {
		return
	}
	for _, f := range slices.Clone(l.flight) {
		switch {
		case f.call != nil:
		case f.doubt == nil:
			l.remove(f)
			l.orphans = append(l.orphans, f.calls...)
		case l.gone:
			l.fail(f, f.last)
		}
	}
	if len(l.flight) == 0 {
		l.mend()
	}
}

// mend gives a broken lane with nothing in flight a new start.
func (l *lane) mend() {
	if len(l.orphans) > 0 {
		l.client.mark("client queued records again under a new identity")
	}
	orphans := slices.DeleteFunc(l.orphans, func(p *produce) bool { return p.ended })
	// A batch may have been orphaned after a later one, which had its answer first.
	slices.SortFunc(orphans, func(a, b *produce) int { return cmp.Compare(a.number, b.number) })
	for _, p := range orphans {
		l.queued += p.bytes
	}
	l.queue = slices.Concat(orphans, l.queue)
	l.orphans = nil
	if l.gone {
		l.topic = 0
	}
	if l.fresh || l.producer.Epoch == math.MaxInt16 {
		l.producer = batch.NoProducer
	}
	if l.identity != identityAsked {
		l.identity = identityNone
	}
	l.broken, l.fresh, l.gone = false, false, false
}

// identify reports whether batches can be made; if not, it asks for an identity.
func (l *lane) identify() bool {
	if l.key.mode != Idempotent || l.identity == identityReady {
		return true
	}
	if l.identity == identityNone {
		l.identity = identityAsked
		if l.producer != batch.NoProducer {
			l.client.mark("client replaces its producer epoch")
		}
		l.client.run(initProducer(l.producer.ID, l.producer.Epoch, l.identified), 0)
	}
	return false
}

// identified takes the identity asked for. A next epoch that was not granted is
// given up for a new id: whoever holds that epoch, it is not this lane.
func (l *lane) identified(r Result) {
	l.client.touch(l)
	if r.Err == nil {
		given := r.Response.GetInitProducer()
		l.producer = batch.Producer{ID: api.ProducerID(given.ProducerId), Epoch: api.Epoch(given.Epoch)}
		l.identity = identityReady
		return
	}
	if l.producer == batch.NoProducer && !r.Err.Code.Retriable() {
		l.refuse(l.numbered, r.Err)
	}
	l.producer = batch.NoProducer
	l.identity = identityNone
}

// refuse ends the calls in the queue up to a number: they were never sent.
func (l *lane) refuse(upTo uint64, err *api.Error) {
	kept := l.queue[:0:0]
	for _, p := range l.queue {
		if p.number > upTo {
			kept = append(kept, p)
			continue
		}
		l.queued -= p.bytes
		l.client.conclude(p, Result{Err: err, Definite: true, Topic: l.topic})
	}
	l.queue = kept
}

// expire ends the calls whose deadline has passed.
func (l *lane) expire(now env.Time) {
	l.expiry = never
	l.queue = l.expireCalls(l.queue, now, func(p *produce) {
		l.queued -= p.bytes
		l.unsent(p)
	})
	l.orphans = l.expireCalls(l.orphans, now, l.unsent)
	for _, f := range slices.Clone(l.flight) {
		f.expire(l, now)
	}
	if l.expiry != never {
		l.expiry = max(l.expiry, now+expirySlack)
	}
}

func (l *lane) expireCalls(calls []*produce, now env.Time, end func(*produce)) []*produce {
	return slices.DeleteFunc(calls, func(p *produce) bool {
		if p.deadline > now {
			l.expiry = min(l.expiry, p.deadline)
			return false
		}
		end(p)
		return true
	})
}

// unsent ends a call that was never sent, or surely not appended.
func (l *lane) unsent(p *produce) {
	l.client.conclude(p, Result{Err: l.overdue(nil), Definite: true, Topic: l.topic})
}

// overdue is the error of records whose time is up, and whose last attempt, if there was
// one, failed with last. The reason why a batch had to wait for others is of no use to the
// caller.
func (l *lane) overdue(last *api.Error) *api.Error {
	code, did, why := api.Code_NOT_LEADER, "took the records in no attempt", ""
	if last == nil {
		why = l.obstacle()
	} else {
		why = "the last answer was " + last.Error()
		if last.Code.Retriable() {
			code = last.Code
		}
		if !last.Code.Definite() {
			did = "did not acknowledge the records"
		}
	}
	return api.Errorf(code, "%q partition %d %s before the deadline; %s", l.key.topic, l.key.partition, did, why)
}

// obstacle is why records were not sent.
func (l *lane) obstacle() string {
	k := l.client.cluster
	switch {
	case l.awaited || l.key.mode == Unacknowledged:
		if t := k.topics[l.key.topic]; t != nil && t.lookUp != nil && t.lookUp.last != nil {
			return "no node said who leads it; the last that was asked: " + t.lookUp.last.Error()
		}
		return fmt.Sprintf("no node said who leads it, of %d that are known", len(k.order))
	case l.identity == identityAsked:
		return "no node gave the client a producer id to number them by"
	}
	return "their turn did not come: those before them had no answer, or they lingered for more to share a batch"
}

// arm sets the timer to the next moment at which there may be something to do.
func (l *lane) arm(now env.Time) {
	at := l.expiry
	if l.retryAt > now {
		at = min(at, l.retryAt)
	}
	if len(l.queue) > 0 {
		if ripe := l.queue[0].queued + l.client.config.Linger; ripe > now {
			at = min(at, ripe)
		}
	}
	switch {
	case at != never:
		l.client.timers.set(&l.timer, at)
	case !l.idle():
		panic(fmt.Sprintf("core: %d calls and %d batches wait without a deadline", len(l.queue), len(l.flight)))
	default:
		l.rest(now)
	}
}
