package client

import (
	"context"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
)

// Record is what is produced. A timestamp of 0 becomes the time of the call.
type Record = batch.Record

// Header is a named value of a record.
type Header = batch.Header

// Mode says how records are acknowledged.
type Mode = core.Mode

// Modes of ProduceMode.
const (
	// Idempotent, the mode of Produce: synced on a majority before it returns, and
	// appended exactly once however often the client had to try.
	Idempotent = core.Idempotent
	// Plain is acknowledged in the same way, and not tried again once an attempt
	// may have succeeded.
	Plain = core.Plain
	// Unacknowledged is sent once; what became of it is never known, and no
	// offset is given.
	Unacknowledged = core.Unacknowledged
)

// NoOffset is given where the offset is not known.
const NoOffset int64 = -1

// Produce appends a record and waits until it is synced on a majority. It gives
// the record's offset.
func (c *Client) Produce(ctx context.Context, topic string, partition int32, record Record) (int64, error) {
	return c.ProduceMode(ctx, Idempotent, topic, partition, record)
}

// ProduceMode appends records in one piece, at consecutive offsets of one
// partition, and gives the offset of the first. AnyPartition goes by the first
// record's key.
func (c *Client) ProduceMode(ctx context.Context, mode Mode, topic string, partition int32, records ...Record) (int64, error) {
	return c.ProduceAsync(ctx, mode, topic, partition, records...).Wait(ctx)
}

// Produced is a produce under way.
type Produced struct {
	pending *pending
	mode    Mode
	failed  error
}

// ProduceAsync begins to append records and does not wait for the answer. It does
// wait while the client's buffer is full, and for a topic's number of partitions.
// Records given to one partition by one goroutine are appended in that order. ctx
// bounds the operation even after ProduceAsync returned. The keys, values and headers
// must not be changed until they are answered.
func (c *Client) ProduceAsync(ctx context.Context, mode Mode, topic string, partition int32, records ...Record) *Produced {
	op := "produce to " + topic
	if len(records) == 0 {
		return &Produced{failed: &Error{Op: op, Code: api.Code_INVALID_REQUEST, Definite: true, Message: "no record was given"}}
	}
	bytes := size(records)
	heed := func(core.Result) {}
	if partition == AnyPartition {
		heed = func(r core.Result) { c.heed(topic, r) }
		chosen, err := c.choose(ctx, topic, records, bytes)
		if err != nil {
			return &Produced{failed: err}
		}
		partition = chosen
	}
	records = slices.Clone(records) // the core gives them their time
	p := &Produced{mode: mode}
	p.pending, p.failed = c.begin(ctx, request{
		op:    fmt.Sprintf("%s partition %d", op, partition),
		bytes: bytes,
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.Produce(topic, api.Partition(partition), records, core.ProduceOptions{Mode: mode, Timeout: timeout}, func(r core.Result) {
				heed(r)
				done(r)
			})
		},
		call: func() histories.Call { return produceCall(mode, topic, partition, records) },
	})
	return p
}

// Wait gives the offset of the first record once it is synced on a majority.
func (p *Produced) Wait(ctx context.Context) (int64, error) {
	if p.failed != nil {
		return NoOffset, p.failed
	}
	r, err := p.pending.wait(ctx)
	if err != nil || p.mode == Unacknowledged {
		return NoOffset, err
	}
	return int64(r.Offset), nil
}

// size is a bound of what records take in the core, in bytes.
func size(records []Record) int {
	const perRecord, perHeader = 64, 32
	n := 0
	for i := range records {
		n += perRecord + len(records[i].Key) + len(records[i].Value)
		for _, h := range records[i].Headers {
			n += perHeader + len(h.Key) + len(h.Value)
		}
	}
	return n
}
