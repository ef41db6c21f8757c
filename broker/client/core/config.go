package core

import (
	"math"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
)

// Config is how a client behaves. A zero field takes the default given with it.
type Config struct {
	// Bootstrap are nodes to ask first; at least one.
	Bootstrap []env.Endpoint
	// Codec compresses what is produced; nil leaves it as it is.
	Codec batch.Codec
	// Codecs decompress what is fetched.
	Codecs batch.Codecs
	// Linger is how long a record may wait for others to share its batch. The
	// default of 0 still gathers what is asked for in one burst, and what comes
	// while the partition's batches in flight are at their bound.
	Linger env.Time
	// BatchBytes bounds the records of a batch before compression, in bytes
	// (256 KiB). Records of one call always share a batch, even beyond it.
	BatchBytes int
	// AttemptTimeout is how long one attempt waits for its answer (2 s).
	AttemptTimeout env.Time
	// OperationTimeout is how long an operation may take, retries included,
	// unless it says otherwise (30 s).
	OperationTimeout env.Time
	// BackoffMin and BackoffMax bound the pause before a retry (20 ms, 250 ms).
	BackoffMin, BackoffMax env.Time
	// Waiting bounds the operations without a result (65,536), BufferedBytes the
	// bytes of records they hold (64 MiB). Beyond, operations are OVERLOADED.
	Waiting       int
	BufferedBytes int
	// Trace takes marks of rare paths; nil discards them.
	Trace trace.Sink
}

const (
	// maxFlight is how many batches of a partition are under way at once: as
	// many as the broker can tell from duplicates.
	maxFlight = 5
	// maxLanes bounds the partitions a client writes to at the same time.
	maxLanes = 65_536
	// laneIdle is how long a partition that is no longer written to is
	// remembered. It is far below the day after which brokers forget a producer.
	laneIdle = 10 * 60 * env.Second
	// maxTopics bounds the topics whose leaders are remembered.
	maxTopics = 65_536
	// maxHops is how many leaders in a row an operation is sent on to at once;
	// beyond, it pauses.
	maxHops = 3
	// leaderAge is how old the news of a leader may be that is sent to without
	// being answered.
	leaderAge = env.Second
	// clusterAge is after how long a client that is at work asks what nodes there
	// are, though nothing went wrong.
	clusterAge = 5 * env.Second
	// idleAge is after how much longer one that is not at work asks.
	idleAge = 10 * env.Second
	// maxLocate is how many partitions' committed offsets are asked for at once: an answer
	// may be 16 batches long, and the metadata of a commit 4 KiB.
	maxLocate = 500
	// expirySlack is how much later than its deadline a produce may end, so that
	// a long queue is looked through rarely.
	expirySlack = 10 * env.Millisecond
)

func (config Config) withDefaults() Config {
	if len(config.Bootstrap) == 0 {
		panic("core: no bootstrap endpoint")
	}
	set(&config.Codec, batch.Codec(batch.Plain{}))
	// Made anew, so that what is not compressed can be read with the zero set too.
	set(&config.Codecs, batch.NewCodecs())
	set(&config.BatchBytes, 256<<10)
	config.BatchBytes = min(config.BatchBytes, maxProduce)
	set(&config.AttemptTimeout, 2*env.Second)
	config.AttemptTimeout = maxTime(config.AttemptTimeout)
	set(&config.OperationTimeout, 30*env.Second)
	set(&config.BackoffMin, 20*env.Millisecond)
	set(&config.BackoffMax, 250*env.Millisecond)
	set(&config.Waiting, 65_536)
	set(&config.BufferedBytes, 64<<20)
	if config.Trace == nil {
		config.Trace = trace.Discard
	}
	return config
}

// maxTime bounds a time to wait, so that it can be added to a clock's: "for ever" may be the
// longest time there is.
func maxTime(wait env.Time) env.Time { return min(max(0, wait), math.MaxInt64/4) }

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
