package client

import (
	"context"
	"fmt"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
)

// Message is a record at its offset.
type Message = core.Record

// FetchOptions say how much to wait for and to bring.
type FetchOptions struct {
	// MaxBytes bounds the answer; its first batch comes even if it is larger (8 MiB).
	MaxBytes int32
	// MinBytes is waited for, up to MaxWait (1, and not at all), and not until the call's
	// time is over: what is there then comes in time.
	MinBytes int32
	MaxWait  time.Duration
}

// Fetched is the answer to a Fetch.
type Fetched struct {
	Messages []Message
	// HighWatermark is one past the last committed offset, LogStart the first
	// offset that was not deleted.
	HighWatermark, LogStart int64
}

// Fetch reads records from an offset on. No messages without an error means that
// there was nothing at the offset at some moment during the call.
func (c *Client) Fetch(ctx context.Context, topic string, partition int32, offset int64, options FetchOptions) (Fetched, error) {
	r, err := c.do(ctx, c.fetch(topic, partition, offset, options, false))
	return fetched(r), err
}

func (c *Client) fetch(topic string, partition int32, offset int64, options FetchOptions, goesOn bool) request {
	return request{
		op: fmt.Sprintf("fetch from %s partition %d at offset %d", topic, partition, offset),
		start: func(timeout env.Time, done func(core.Result)) {
			c.core.Fetch(topic, api.Partition(partition), api.Offset(offset), core.FetchOptions{
				MaxBytes: options.MaxBytes, MinBytes: options.MinBytes, MaxWait: duration(options.MaxWait), Timeout: timeout,
			}, done)
		},
		call: func() histories.Call {
			return histories.Call{
				Op: histories.Fetch, Topic: topic, Partition: api.Partition(partition), Offset: api.Offset(offset), Continue: goesOn,
			}
		},
	}
}

func fetched(r core.Result) Fetched {
	body := r.Response.GetFetch()
	return Fetched{Messages: r.Records, HighWatermark: body.GetHighWatermark(), LogStart: body.GetLogStart()}
}

// Where a Consumer may begin, beside an offset.
const (
	// Latest begins with what is produced from now on.
	Latest int64 = -1
	// Earliest begins with the first record that was not deleted.
	Earliest int64 = -2
)

// Consumer reads one partition record by record. It is not safe for concurrent
// use. It needs no closing.
type Consumer struct {
	client    *Client
	topic     string
	partition int32
	// next is the offset of the next message; Latest or Earliest until it is known.
	next int64
	// ready are fetched and not handed out; ahead is the fetch of what follows.
	ready   []Message
	ahead   *pending
	process *process
	// goesOn: the history's process was given the messages before next.
	goesOn bool
}

const (
	// consumeBytes is fetched at a time, consumeWait waited for at a node.
	consumeBytes = 1 << 20
	consumeWait  = 5 * time.Second
)

// Consume makes a consumer of a partition that begins at an offset, Earliest or
// Latest.
func (c *Client) Consume(topic string, partition int32, from int64) *Consumer {
	return &Consumer{client: c, topic: topic, partition: partition, next: from, process: &process{}}
}

// Next waits for the next message. After an error the consumer stands where it
// stood; after ErrOutOfRange, which says that records were deleted that it had not
// read, SeekTo moves it.
func (k *Consumer) Next(ctx context.Context) (Message, error) {
	for len(k.ready) == 0 {
		if err := k.fill(ctx); err != nil {
			return Message{}, err
		}
	}
	m := k.ready[0]
	k.ready = k.ready[1:]
	k.next = int64(m.Offset) + 1
	return m, nil
}

// Offset of the next message; Earliest or Latest as long as nothing was asked.
func (k *Consumer) Offset() int64 { return k.next }

// SeekTo moves the consumer to an offset, Earliest or Latest.
func (k *Consumer) SeekTo(offset int64) {
	if k.ahead != nil {
		// Its process is still busy.
		k.process = &process{}
	}
	k.next, k.ready, k.ahead, k.goesOn = offset, nil, nil, false
}

// fill waits for the fetch under way, and begins the next, so that one is under way
// while messages are handed out.
func (k *Consumer) fill(ctx context.Context) error {
	if err := k.locate(ctx); err != nil {
		return err
	}
	if k.ahead == nil {
		if err := k.fetch(k.next); err != nil {
			return err
		}
	}
	if _, err := k.ahead.wait(ctx); !k.ahead.over() {
		// It goes on, and the next call will find it.
		return err
	}
	r, err := k.ahead.result, errorOf(k.ahead.op, ctx, k.ahead.result)
	k.ahead = nil
	if err != nil {
		return err
	}
	if k.ready = r.Records; len(k.ready) == 0 {
		return nil
	}
	k.goesOn = true
	// An error here comes back when there is nothing left to hand out.
	_ = k.fetch(int64(k.ready[len(k.ready)-1].Offset) + 1)
	return nil
}

// locate turns Earliest or Latest into an offset.
func (k *Consumer) locate(ctx context.Context) error {
	spec := api.OffsetSpec_LATEST
	switch k.next {
	case Earliest:
		spec = api.OffsetSpec_EARLIEST
	case Latest:
	default:
		return nil
	}
	offset, err := k.client.ListOffsets(ctx, k.topic, k.partition, spec)
	if err == nil {
		k.next = offset
	}
	return err
}

// fetch begins a fetch.
func (k *Consumer) fetch(from int64) error {
	q := k.client.fetch(k.topic, k.partition, from, FetchOptions{MaxBytes: consumeBytes, MaxWait: consumeWait}, k.goesOn)
	q.process = k.process
	ahead, err := k.client.begin(context.Background(), q)
	if err == nil {
		k.ahead = ahead
	}
	return err
}
