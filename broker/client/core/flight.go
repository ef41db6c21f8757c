package core

import (
	"fmt"
	"math"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
)

// flight is a batch that was sent and has not ended.
type flight struct {
	calls   []*produce
	request *api.ProduceRequest
	// number counts the batches of the lane.
	number uint64
	// call is the attempt under way, nil while the batch waits to be sent again.
	call     *call
	attempts int
	// order is the place of the last attempt among all of the lane; it was oldest if all
	// batches before it had been acknowledged when it was sent.
	order  uint64
	oldest bool
	// last is the error of the last attempt, doubt the one that left a doubt.
	last, doubt *api.Error
}

// latest is the last deadline of the calls without a result.
func (f *flight) latest() env.Time {
	var at env.Time
	for _, p := range f.calls {
		if !p.ended {
			at = max(at, p.deadline)
		}
	}
	return at
}

// send sends what waits, oldest first, then new batches. Nothing is sent past a
// batch that is under way at another node, or that waits: the order would break.
func (l *lane) send(now env.Time) {
	to, ok := l.route(now)
	for i, f := range l.flight {
		switch {
		case !ok || f.call != nil && f.call.to != to:
			return
		case f.call == nil && i > 0 && l.flight[i-1].order < f.order:
			// It went out after the one before it and was refused: it is no use to
			// send it again until that one was.
			return
		case f.call == nil:
			l.attempt(f, to, now)
			ok = l.leads(to)
		}
	}
	for ok && l.ripe(now) && l.identify() {
		if l.key.mode == Unacknowledged {
			ok = l.sendOnce(to, now)
			continue
		}
		f := l.form()
		l.flight = append(l.flight, f)
		l.attempt(f, to, now)
		ok = l.leads(to)
	}
}

// route chooses the node to send to: where the oldest batch is under way, if that
// node is still held to be the leader, otherwise the leader or whoever may know it.
func (l *lane) route(now env.Time) (env.Endpoint, bool) {
	if len(l.flight) > 0 && l.flight[0].call != nil {
		to := l.flight[0].call.to
		return to, l.leads(to)
	}
	if len(l.flight) == 0 && !l.ripe(now) {
		return "", false
	}
	k := l.client.cluster
	return k.leader(k.topics[l.key.topic].partition(l.key.partition)), true
}

// leads reports whether a node is held to lead the partition. While no leader is
// known, one batch at a time goes out to ask.
func (l *lane) leads(node env.Endpoint) bool {
	k := l.client.cluster
	p := k.topics[l.key.topic].partition(l.key.partition)
	return p != nil && k.nodes[p.leader] == node
}

// ripe reports whether a new batch is due and has room in flight.
func (l *lane) ripe(now env.Time) bool {
	if l.broken || len(l.queue) == 0 || !l.room() {
		return false
	}
	return l.queued >= l.batchBytes() || now >= l.queue[0].queued+l.client.config.Linger
}

// batchBytes is up to what size calls share a batch: the client's, but no more than the
// topic takes, as far as that is known.
func (l *lane) batchBytes() int {
	most := l.client.config.BatchBytes
	if t := l.client.cluster.topics[l.key.topic]; t != nil && t.batchBytes > 0 {
		most = min(most, t.batchBytes)
	}
	return most
}

// room reports whether another batch may be in flight. With an identity it goes by
// the numbers of batches, not by how many are unanswered: the broker must still
// know the oldest when its answer got lost and it is sent again.
func (l *lane) room() bool {
	switch {
	case len(l.flight) == 0:
		return true
	case l.key.mode == Idempotent:
		return l.formed-l.flight[0].number+1 < maxFlight
	}
	return false
}

// form makes the next batch from the head of the queue.
func (l *lane) form() *flight {
	var records []batch.Record
	n, bytes := 0, 0
	for _, p := range l.queue {
		if n > 0 && bytes+p.bytes > l.batchBytes() {
			break
		}
		n++
		bytes += p.bytes
		records = append(records, p.records...)
	}
	data, err := batch.Encode(records, l.producer, l.client.config.Codec)
	if err != nil {
		panic(fmt.Sprintf("core: a batch of %d bytes, bounded by %d, is too large", bytes, maxProduce))
	}
	l.formed++
	f := &flight{calls: l.queue[:n:n], number: l.formed, request: &api.ProduceRequest{
		Topic:     &api.TopicRef{Name: l.key.topic, Id: uint64(l.topic)},
		Partition: int32(l.key.partition),
		Batch:     data,
	}}
	l.queue = l.queue[n:]
	l.queued -= bytes
	if l.key.mode == Idempotent {
		l.producer.Sequence = after(l.producer.Sequence, len(records))
	}
	return f
}

// after is the sequence n records on; after 2^31-1 comes 0.
func after(s api.Sequence, n int) api.Sequence {
	return api.Sequence((int64(s) + int64(n)) & math.MaxInt32)
}

func (l *lane) attempt(f *flight, to env.Endpoint, now env.Time) {
	f.attempts++
	l.sent++
	f.order, f.oldest = l.sent, l.flight[0] == f
	timeout := max(expirySlack, min(l.client.config.AttemptTimeout, f.latest()-now))
	request := &api.Request{Body: &api.Request_Produce{Produce: f.request}}
	f.call = l.client.send(to, request, timeout, func(r *api.Response) { l.answered(f, to, r) })
}

// sendOnce sends a batch that will not be answered. As no answer will say that
// the leader moved, it looks for it every now and then.
func (l *lane) sendOnce(to env.Endpoint, now env.Time) bool {
	c := l.client
	known := l.leads(to)
	if !known || now >= l.lookAgain {
		l.lookAgain = now + leaderAge
		// Not at the node whose turn it is: one that was removed and runs would go on
		// answering, and nothing that fails here could ever speak against it.
		c.lookUp(c.cluster.topics[l.key.topic], false, c.cluster.someone())
	}
	if !known {
		l.failures++
		l.retryAt = now + c.backoff(l.failures)
		return false
	}
	l.failures = 0
	f := l.form()
	f.request.Acks = api.Acks_NONE
	c.post(to, &api.Request{Body: &api.Request_Produce{Produce: f.request}})
	for _, p := range f.calls {
		c.conclude(p, Result{Attempts: 1, Topic: l.topic})
	}
	return true
}

// answered judges an attempt.
func (l *lane) answered(f *flight, from env.Endpoint, r *api.Response) {
	f.call = nil
	l.client.touch(l)
	if r.Error == nil {
		l.acknowledged(f, r)
		l.client.freshen(l.key.topic, from)
		return
	}
	code := r.Error.Code
	f.last = r.Error
	if !code.Definite() {
		f.doubt = r.Error
	}
	l.client.heedPartition(f.request.Topic, l.key.partition, from, r.Error)
	head := l.flight[0] == f
	gap := code == api.Code_OUT_OF_ORDER_SEQUENCE || code == api.Code_UNKNOWN_PRODUCER
	if head || !gap && !changesLeader(code) {
		l.pause(from, r.Error)
	}
	switch {
	case code == api.Code_UNKNOWN_TOPIC_OR_PARTITION:
		// Deleted, perhaps made again; or the node has not heard of it yet.
		l.client.cluster.topics[l.key.topic].forget(l.topic)
	case gap && !f.oldest:
		// The batches before were still on their way: this one goes after them again. They
		// may have arrived since, elsewhere or sooner than this answer.
	case gap:
		l.gap(f)
	case !code.Retriable(), f.doubt != nil && l.key.mode == Plain:
		l.fail(f, r.Error)
	}
}

// gap judges the answer to the oldest batch that batches before it are missing.
func (l *lane) gap(f *flight) {
	switch {
	case f.last.Code == api.Code_UNKNOWN_PRODUCER:
		// Forgotten, for example after long idleness.
		l.fresh, l.broken = true, true
	case !l.broken:
		// All before it were acknowledged: this is the broker's fault.
		l.fail(f, f.last)
		return
	}
	// Without a doubt it goes back to the queue.
	if f.doubt != nil {
		l.fail(f, f.last)
	}
}

// pause decides when the oldest batch is sent again: at once after a redirect, a
// few times in a row.
func (l *lane) pause(from env.Endpoint, err *api.Error) {
	if hint := env.Endpoint(err.LeaderAddress); hint != "" && hint != from && l.hops < maxHops {
		l.hops++
		l.retryAt = 0
		return
	}
	if now := l.client.clock.Now(); l.retryAt <= now {
		l.hops = 0
		l.failures++
		l.retryAt = now + l.client.backoff(l.failures)
	}
}

// acknowledged ends a batch that was appended.
func (l *lane) acknowledged(f *flight, r *api.Response) {
	l.remove(f)
	offset := api.Offset(r.GetProduce().BaseOffset)
	l.failures, l.hops = 0, 0
	for _, p := range f.calls {
		l.client.conclude(p, Result{Response: r, Definite: true, Attempts: f.attempts, Topic: l.topic, Offset: offset})
		offset += api.Offset(len(p.records))
	}
}

// fail ends a batch that was not appended, or may not have been.
func (l *lane) fail(f *flight, err *api.Error) {
	if f.call != nil {
		l.client.drop(f.call)
		err = api.Errorf(api.Code_TIMED_OUT, "no answer from %s before the deadline", f.call.to)
		f.call = nil
	}
	l.remove(f)
	if err.Code != api.Code_DUPLICATE_SEQUENCE && l.key.mode == Idempotent {
		l.broken = true
	}
	l.fresh = l.fresh || err.Code == api.Code_PRODUCER_FENCED
	reported, definite := verdict(err, f.doubt)
	for _, p := range f.calls {
		l.client.conclude(p, Result{Err: reported, Definite: definite, Attempts: f.attempts, Topic: l.topic})
	}
}

// expire ends the calls of a batch whose deadline has passed. While others go on
// the batch may still be appended, so their outcome stays unknown.
func (f *flight) expire(l *lane, now env.Time) {
	if f.latest() <= now {
		l.client.mark("client gave up a batch in flight")
		l.fail(f, l.overdue(f.last))
		return
	}
	for _, p := range f.calls {
		switch {
		case p.ended:
		case p.deadline > now:
			l.expiry = min(l.expiry, p.deadline)
		default:
			err := api.Errorf(api.Code_TIMED_OUT, "no acknowledgement from %q partition %d in time", l.key.topic, l.key.partition)
			l.client.conclude(p, Result{Err: err, Attempts: f.attempts, Topic: l.topic})
		}
	}
}

func (l *lane) remove(f *flight) {
	l.flight = slices.DeleteFunc(l.flight, func(other *flight) bool { return other == f })
}
