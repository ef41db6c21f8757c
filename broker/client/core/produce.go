package core

import (
	"unicode/utf8"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
)

// Mode says how a produce is acknowledged and repeated.
type Mode uint8

const (
	// Idempotent: acknowledged, and retried until answered; appended once.
	Idempotent Mode = iota
	// Plain: acknowledged, without a producer identity: not retried after an
	// attempt in doubt.
	Plain
	// Unacknowledged: sent once and never answered.
	Unacknowledged
)

// ProduceOptions say how to produce.
type ProduceOptions struct {
	Mode Mode
	// Timeout of the whole operation; 0 is the client's.
	Timeout env.Time
}

// maxProduce bounds the records of one operation, and so a batch before its
// compression, in bytes. It leaves room below batch.MaxBytes for a codec that
// makes a batch longer.
const maxProduce = batch.MaxBytes / 2

// produce is one call of Produce: records that stay together.
type produce struct {
	records  []batch.Record
	bytes    int
	queued   env.Time
	deadline env.Time
	// number counts the calls of the lane.
	number uint64
	ended  bool
	done   func(Result)
}

// Produce appends records to a partition, in one piece. The records belong to
// the client until the result; those whose timestamp is 0 are given the time of
// now. Results of one partition and mode come from batches sent in the order of
// the calls.
func (c *Client) Produce(topic string, p api.Partition, records []batch.Record, options ProduceOptions, done func(Result)) {
	bytes := size(records)
	switch {
	case !utf8.ValidString(topic):
		c.refuse(done, notText(topic))
		return
	case len(records) == 0:
		c.refuse(done, api.Errorf(api.Code_INVALID_REQUEST, "produce to %q partition %d without a record; give at least one", topic, p))
		return
	case bytes > maxProduce:
		c.refuse(done, api.Errorf(api.Code_BATCH_TOO_LARGE, "produce of %d bytes to %q partition %d; at most %d go together", bytes, topic, p, maxProduce))
		return
	}
	l := c.lane(laneKey{topic, p, options.Mode})
	if l == nil {
		c.refuse(done, api.Errorf(api.Code_OVERLOADED, "the client writes to %d partitions at once, its bound", maxLanes))
		return
	}
	if !c.admit(bytes, done) {
		return
	}
	wall := api.Milliseconds(c.clock.Wall())
	for i := range records {
		set(&records[i].Timestamp, wall)
	}
	timeout := options.Timeout
	if timeout <= 0 {
		timeout = c.config.OperationTimeout
	}
	now := c.clock.Now()
	l.put(&produce{records: records, bytes: bytes, queued: now, deadline: now + maxTime(timeout), done: done})
}

// size is an upper bound of the encoded records in bytes.
func size(records []batch.Record) int {
	const perRecord, perHeader = 40, 20
	n := 0
	for i := range records {
		n += perRecord + len(records[i].Key) + len(records[i].Value)
		for _, h := range records[i].Headers {
			n += perHeader + len(h.Key) + len(h.Value)
		}
	}
	return n
}

// lane gives the lane of a key, nil if there are too many.
func (c *Client) lane(key laneKey) *lane {
	l := c.lanes[key]
	if l == nil && len(c.lanes) < maxLanes {
		l = newLane(c, key)
		c.lanes[key] = l
	}
	return l
}

// touch has a lane looked at in the next Flush.
func (c *Client) touch(l *lane) {
	if !l.dirty {
		l.dirty = true
		c.dirty = append(c.dirty, l)
	}
}

// conclude ends a produce, once.
func (c *Client) conclude(p *produce, r Result) {
	if !p.ended {
		p.ended = true
		c.finish(p.bytes, p.done, r)
	}
}
