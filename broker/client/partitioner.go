package client

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
)

// AnyPartition has the client choose: by the hash of the key, as Kafka's clients
// do, so that equal keys meet; a record without a key goes where the last ones
// went, until enough of them did.
const AnyPartition int32 = -1

// spread is how a topic's records are spread over its partitions.
type spread struct {
	partitions int32
	// until is when the number of partitions is asked for again.
	until time.Time
	// sticky gets the records without a key, until it has had left bytes more.
	sticky int32
	left   int
}

const (
	// spreadAge is how old the number of partitions may be before it is asked for again:
	// so late those that were added get records.
	spreadAge = time.Minute
	// stickyBytes is about a batch: a new partition begins a new batch (KIP-794).
	stickyBytes = 16 << 10
	// maxSpreads bounds the topics remembered.
	maxSpreads = 65_536
)

// choose gives the partition of some records.
func (c *Client) choose(ctx context.Context, topic string, records []Record, bytes int) (int32, error) {
	s, err := c.spreadOf(ctx, topic)
	if err != nil {
		return 0, err
	}
	if key := records[0].Key; key != nil {
		return int32(murmur2(key)&0x7fffffff) % s.partitions, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.left <= 0 {
		s.sticky, s.left = rand.Int32N(s.partitions), stickyBytes
	}
	s.left -= bytes
	return s.sticky, nil
}

// spreadOf gives how a topic's records are spread. One that is old serves until its
// successor is there: nobody waits for that, and while nobody answers records go on.
func (c *Client) spreadOf(ctx context.Context, topic string) (*spread, error) {
	c.mu.Lock()
	s, now := c.spread[topic], time.Now()
	old := s != nil && now.After(s.until)
	if old {
		s.until = now.Add(spreadAge)
	}
	c.mu.Unlock()
	if s == nil {
		return c.lookUp(ctx, topic)
	}
	if old {
		go func() { _, _ = c.lookUp(context.Background(), topic) }()
	}
	return s, nil
}

// heed forgets how many partitions a topic has when one that was chosen by it is not there:
// the topic was made again with fewer.
func (c *Client) heed(topic string, r core.Result) {
	if r.Err.GetCode() != api.Code_UNKNOWN_TOPIC_OR_PARTITION {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.spread, topic)
}

// lookUp begins a spread by how many partitions a topic has now. That of one which is no
// more is forgotten.
func (c *Client) lookUp(ctx context.Context, topic string) (*spread, error) {
	n, err := c.partitions(ctx, topic)
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, ErrUnknownTopic) {
		delete(c.spread, topic)
	}
	if err != nil {
		return nil, err
	}
	if len(c.spread) >= maxSpreads {
		clear(c.spread)
	}
	s := &spread{partitions: n, until: time.Now().Add(spreadAge)}
	c.spread[topic] = s
	return s, nil
}

// partitions asks how many partitions a topic has. Its errors are those of a produce that
// was not sent.
func (c *Client) partitions(ctx context.Context, topic string) (int32, error) {
	m, err := c.Metadata(ctx, topic)
	op := "produce to " + topic
	if e := (*Error)(nil); errors.As(err, &e) {
		return 0, &Error{Op: op, Code: e.Code, Definite: true, Message: "how many partitions there are could not be asked: " + e.Message, cause: e.cause}
	}
	for _, t := range m.GetTopics() {
		if t.Name == topic && len(t.Partitions) > 0 {
			return int32(len(t.Partitions)), nil
		}
	}
	return 0, &Error{Op: op, Code: api.Code_UNKNOWN_TOPIC_OR_PARTITION, Definite: true, Message: "there is no such topic; create it, or check the name"}
}

// murmur2 is Austin Appleby's MurmurHash2, 32 bits, with Kafka's seed.
func murmur2(data []byte) uint32 {
	const seed, m, r = 0x9747b28c, 0x5bd1e995, 24
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k = (k ^ k>>r) * m
		h = h*m ^ k
	}
	for i := len(data) - 1; i >= 0; i-- {
		h ^= uint32(data[i]) << (8 * i)
	}
	if len(data) > 0 {
		h *= m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
