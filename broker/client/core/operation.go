package core

import (
	"slices"
	"unicode/utf8"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// Result is how an operation ended.
//
//	Err    Definite
//	nil    true      it happened; Response has the answer
//	set    true      it did not happen and never will
//	set    false     it may have happened, or may still
//	nil    false     produced without acknowledgement: sent once, outcome never known
type Result struct {
	Err      *api.Error
	Definite bool
	// Attempts that were sent.
	Attempts int
	// Topic is the incarnation that was addressed, 0 if none was.
	Topic api.TopicID
	// Response is what the node answered, nil unless it happened. After Produce it
	// is of the batch that the records shared with those of other calls.
	Response *api.Response
	// Offset of the call's first record, after Produce.
	Offset api.Offset
	// Records, after Fetch: those at the offset asked for and above.
	Records []Record
}

// target says which node an operation is for.
type target uint8

const (
	targetAny target = iota
	targetMeta
	targetPartition
	targetNode
)

// effect says what it means to try an operation again after an attempt in doubt.
type effect uint8

const (
	// once: never after a doubt.
	once effect = iota
	// repeatable: doing it twice is doing it once.
	repeatable
	// harmless: it changes nothing, so an attempt leaves no doubt behind.
	harmless
)

// operation is one request on its way through attempts, pauses and redirects to
// its result. At any time exactly one thing will move it on: a call, its timer,
// or a refresh of its topic together with its timer.
type operation struct {
	client  *Client
	request *api.Request
	effect  effect
	target  target
	// node, with targetNode.
	node env.Endpoint
	// ref is the part of request that names the topic, nil where there is none.
	ref       *api.TopicRef
	partition api.Partition
	// group is the one whose coordinator is addressed, "" for none: the partition is
	// known once the topic is, as it depends on how many there are.
	group    string
	deadline env.Time
	// patience is how long a node may hold the request back before it answers.
	patience env.Time

	timer timer
	// confirmed: the meta leader was asked for the topic since the operation
	// began, or last knew it.
	confirmed bool
	// redirect is the node that the last answer pointed to.
	redirect env.Endpoint
	hops     int
	failures int
	attempts int
	// last is the error of the last attempt, doubt the one that left a doubt.
	last, doubt *api.Error
	ended       bool
	done        func(Result)
}

// start admits an operation and makes its first attempt.
func (c *Client) start(o *operation, timeout env.Time) {
	done := o.done
	for _, name := range append(names(o.request), o.ref.GetName()) {
		if !utf8.ValidString(name) {
			c.refuse(done, notText(name))
			return
		}
	}
	for _, text := range configTexts(o.request) {
		if !utf8.ValidString(text) {
			c.refuse(done, api.Errorf(api.Code_INVALID_CONFIG, "%+q cannot stand in a config: it is not UTF-8", text))
			return
		}
	}
	if !c.admit(0, done) {
		return
	}
	o.done = func(r Result) { c.finish(0, done, r) }
	c.run(o, timeout)
}

// names are the topics that a request names beside the operation's own. A message
// cannot carry one that is not UTF-8.
func names(q *api.Request) []string {
	list := []string{q.GetCreateTopic().GetName()}
	for _, ref := range q.GetMetadata().GetTopics() {
		list = append(list, ref.GetName())
	}
	return list
}

// configTexts are what a request has of configs.
func configTexts(q *api.Request) []string {
	texts := slices.Clone(q.GetAlterTopic().GetUnset())
	for _, c := range slices.Concat(q.GetCreateTopic().GetConfigs(), q.GetAlterTopic().GetSet()) {
		texts = append(texts, c.GetName(), c.GetValue())
	}
	return texts
}

func notText(name string) *api.Error {
	return api.Errorf(api.Code_INVALID_TOPIC_NAME, "%+q cannot name a topic: it is not UTF-8", name)
}

// run starts an operation that needs no admission: the client's own.
func (c *Client) run(o *operation, timeout env.Time) {
	if timeout <= 0 {
		timeout = c.config.OperationTimeout
	}
	o.client = c
	o.deadline = c.clock.Now() + maxTime(timeout)
	o.timer.fire = o.try
	o.try()
}

// try makes an attempt, if the operation has time left and its topic is known.
func (o *operation) try() {
	c := o.client
	now := c.clock.Now()
	if o.ended {
		return
	}
	c.timers.stop(&o.timer)
	if now >= o.deadline {
		o.expire()
		return
	}
	to, ok := o.route()
	if !ok {
		return
	}
	o.redirect = ""
	o.attempts++
	if q := o.request.GetFetch(); q != nil {
		q.MaxWaitMs = milliseconds(o.hold(o.deadline - now))
	}
	timeout := min(o.deadline-now, c.config.AttemptTimeout+o.patience)
	c.send(to, o.request, timeout, func(r *api.Response) { o.answered(to, r) })
}

// hold is how long a node may hold an attempt back, where so much time is left: no longer
// than that its answer can still come, and be that there was nothing.
func (o *operation) hold(left env.Time) env.Time {
	return min(o.patience, left-min(left/4, o.client.config.AttemptTimeout))
}

// route chooses the node for the next attempt. Without one the operation waits
// for its topic, or has ended.
func (o *operation) route() (env.Endpoint, bool) {
	k := o.client.cluster
	if o.ref != nil && !o.resolve() {
		return "", false
	}
	switch {
	case o.redirect != "":
		return o.redirect, true
	case o.target == targetNode:
		return o.node, true
	case o.target == targetMeta:
		return k.meta(), true
	case o.target == targetPartition:
		return k.leader(k.topics[o.ref.Name].partition(o.partition)), true
	}
	return k.any(), true
}

// resolve puts the topic's id into the request. An operation in doubt stays with
// the incarnation that it addressed: to go on to another would do it twice.
func (o *operation) resolve() bool {
	c := o.client
	if o.doubt != nil && o.ref.Id != 0 {
		return true
	}
	t := c.topic(o.ref.Name)
	if o.group != "" && t != nil {
		o.partition = api.GroupShard(o.group, len(t.partitions))
	}
	// What concerns the whole topic names partition 0, which every topic has.
	if t.partition(o.partition) != nil {
		o.ref.Id = uint64(t.id)
		o.confirmed = false
		return true
	}
	switch {
	case t == nil:
		o.end(&api.Response{Error: tooManyTopics()})
	case o.confirmed:
		o.end(&api.Response{Error: t.missing(o.partition)})
	default:
		c.timers.set(&o.timer, o.deadline)
		c.await(t, func(confirmed bool) {
			o.confirmed = o.confirmed || confirmed
			o.try()
		})
	}
	return false
}

func tooManyTopics() *api.Error {
	return api.Errorf(api.Code_OVERLOADED, "the client uses %d topics at once, its bound", maxTopics)
}

// missing is why a look-up did not bring a partition.
func (t *topic) missing(p api.Partition) *api.Error {
	switch count := len(t.partitions); {
	case t.denied != nil:
		return t.denied
	case count == 0:
		return api.Errorf(api.Code_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic %q, or no longer; create it, or see topic list", t.name)
	default:
		return api.Errorf(api.Code_UNKNOWN_TOPIC_OR_PARTITION, "the topic %q has no partition %d, only those below %d", t.name, p, count)
	}
}

// answered judges an attempt: the end, or another one.
func (o *operation) answered(from env.Endpoint, r *api.Response) {
	if r.Error == nil {
		o.end(r)
		if o.target == targetPartition {
			o.client.freshen(o.ref.Name, from)
		}
		return
	}
	code := r.Error.Code
	o.last = r.Error
	if !code.Definite() && o.effect != harmless {
		o.doubt = r.Error
	}
	o.heed(from, r.Error)
	switch {
	case code == api.Code_UNKNOWN_TOPIC_OR_PARTITION && o.ref != nil && o.doubt == nil:
		// Deleted, perhaps made again; or the node has not heard of it yet.
		o.client.cluster.topics[o.ref.Name].forget(api.TopicID(o.ref.Id))
	case !code.Retriable(), o.doubt != nil && o.effect == once:
		o.end(r)
		return
	}
	o.retry(from, r.Error)
}

// retry follows a redirect at once, a few times in a row; otherwise it pauses.
func (o *operation) retry(from env.Endpoint, err *api.Error) {
	c := o.client
	hint := env.Endpoint(err.LeaderAddress)
	if o.target != targetNode && hint != "" && hint != from && o.hops < maxHops {
		o.hops++
		o.redirect = hint
		o.try()
		return
	}
	o.hops = 0
	o.failures++
	c.timers.set(&o.timer, min(o.deadline, c.clock.Now()+c.backoff(o.failures)))
}

// heed learns from the error of an attempt.
func (o *operation) heed(from env.Endpoint, err *api.Error) {
	switch o.target {
	case targetNode:
	case targetPartition:
		o.client.heedPartition(o.ref, o.partition, from, err)
	default:
		o.client.cluster.heed(from, err)
	}
}

// expire ends the operation at its deadline.
func (o *operation) expire() {
	err := o.last
	switch {
	case err == nil:
		err = api.Errorf(api.Code_NOT_LEADER, "the topic could not be looked up in time at any of %d nodes", len(o.client.cluster.order))
	case !err.Code.Definite() || !err.Code.Retriable():
		// What the last attempt said stands.
	default:
		err = api.Errorf(err.Code, "gave up after %d attempts; the last: %s", o.attempts, err.Message)
	}
	o.end(&api.Response{Error: err})
}

func (o *operation) end(r *api.Response) {
	o.ended = true
	o.client.timers.stop(&o.timer)
	result := Result{Attempts: o.attempts, Definite: true}
	if o.ref != nil {
		result.Topic = api.TopicID(o.ref.Id)
	}
	if r.Error == nil {
		result.Response = r
	} else {
		result.Err, result.Definite = verdict(r.Error, o.doubt)
	}
	o.done(result)
}

// verdict gives the error to report when an operation ends with err after an
// attempt that left a doubt, nil if none did. Its code agrees with whether the
// failure is definite.
func verdict(err, doubt *api.Error) (*api.Error, bool) {
	if doubt == nil {
		return err, err.Code.Definite()
	}
	if err.Code.Definite() {
		return api.Errorf(doubt.Code, "an attempt was left in doubt (%s), and a later one answered %s", doubt.Message, err.Error()), false
	}
	return err, false
}
