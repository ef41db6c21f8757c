// Package client is what Go programs use to talk to a Reprise cluster: blocking
// calls, safe for concurrent use, over gRPC. Calls of many goroutines share
// batches and links.
//
//	c, err := client.New(client.Config{Bootstrap: []string{"localhost:9092"}})
//	...
//	offset, err := c.Produce(ctx, "orders", client.AnyPartition, client.Record{Value: []byte("hello")})
//
// A context's deadline bounds a call, retries included; without one
// Config.Timeout does. An error is an *Error: it has a code of the error table
// (broker/api), and says whether the operation surely did not happen.
//
// All decisions are made in package core; this one only waits, and never retries.
package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/batch/zstd"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Config is how a client behaves. A zero field takes the default given with it.
type Config struct {
	// Bootstrap are addresses of nodes (HOST:PORT) to ask first; one that answers
	// is enough, for it names the others.
	Bootstrap []string
	// Compression of what is produced (none).
	Compression batch.Compression
	// Linger is how long a record may wait for others to share its batch (not at
	// all, but what is produced while batches are under way gathers anyway).
	Linger time.Duration
	// BatchBytes bounds a batch before compression (256 KiB).
	BatchBytes int
	// Timeout of an operation whose context has no deadline (30 s).
	Timeout time.Duration
	// AttemptTimeout is how long a node may take to answer before the client asks
	// again (2 s).
	AttemptTimeout time.Duration
	// Buffer bounds the bytes of records that have been produced and not been
	// answered; beyond, Produce waits. What is larger by itself goes alone (64 MiB).
	Buffer int
	// Credentials secure the connections (plain text); see rpc.TLS.
	Credentials rpc.Credentials
	// User and Password are who the client says it is (nobody; Credentials.Login, where the
	// password may change).
	User, Password string
	// History records what the client sees; nil records nothing.
	History *History
}

const (
	defaultTimeout = 30 * time.Second
	defaultBuffer  = 64 << 20
	// maxCalls bounds the produces under way; beyond, further ones wait. The core's
	// own bound lies above it, so that others find room.
	maxCalls = 32_768
)

// Client is a connection to a cluster.
type Client struct {
	config  Config
	driver  *osenv.Driver
	network *rpc.ClientNetwork
	core    *core.Client
	budget  *budget
	// stopped is closed when nothing will be answered any more.
	stopped chan struct{}
	stop    sync.Once

	mu sync.Mutex
	// spread is where records without a partition go, by topic.
	spread map[string]*spread
}

// New makes a client. It connects when it is first used, so a cluster that is not
// there shows in the first call.
func New(config Config) (*Client, error) {
	if len(config.Bootstrap) == 0 {
		return nil, errors.New("no bootstrap address: name at least one node of the cluster as HOST:PORT")
	}
	codec, err := codecOf(config.Compression)
	if err != nil {
		return nil, err
	}
	if config.Timeout <= 0 {
		config.Timeout = defaultTimeout
	}
	if config.Buffer <= 0 {
		config.Buffer = defaultBuffer
	}
	c := &Client{
		config: config, driver: osenv.NewDriver(), budget: newBudget(config.Buffer),
		stopped: make(chan struct{}), spread: map[string]*spread{},
	}
	if config.User != "" {
		config.Credentials.Login = rpc.Password(config.User, config.Password)
	}
	c.network = rpc.NewClientNetwork(c.driver, config.Credentials)
	c.core = core.New(core.Config{
		Bootstrap:      endpoints(config.Bootstrap),
		Codec:          codec,
		Codecs:         batch.NewCodecs(batch.NewGzip(), zstd.New()),
		Linger:         duration(config.Linger),
		BatchBytes:     config.BatchBytes,
		AttemptTimeout: duration(config.AttemptTimeout),
		Waiting:        2 * maxCalls,
		BufferedBytes:  coreBuffer(config.Buffer),
	}, c.driver.Clock(), c.network, prng.New(seed()))
	c.driver.Start(c.core)
	return c, nil
}

// coreBuffer is the core's own bound of bytes, which lies above that of the budget: all
// that the budget lets pass has room, also what goes alone because it is larger.
func coreBuffer(budget int) int {
	return 2 * max(min(budget, math.MaxInt/2), batch.MaxBytes)
}

func codecOf(compression batch.Compression) (batch.Codec, error) {
	switch compression {
	case batch.None:
		return batch.Plain{}, nil
	case batch.Gzip:
		return batch.NewGzip(), nil
	case batch.Zstd:
		return zstd.New(), nil
	}
	return nil, fmt.Errorf("compression %v is not known; use none, gzip or zstd", compression)
}

// seed spreads the retries of clients that start together.
func seed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

func endpoints(addresses []string) []env.Endpoint {
	var all []env.Endpoint
	for _, a := range addresses {
		all = append(all, env.Endpoint(a))
	}
	return all
}

func duration(d time.Duration) env.Time { return env.Time(d.Nanoseconds()) }

// Close waits until all that was produced has been answered, or ctx is done, then
// closes the links. Other calls under way get ErrClosed, and so do later ones.
func (c *Client) Close(ctx context.Context) error {
	idle := c.budget.close()
	cause := ErrClosed
	select {
	case <-idle:
	case <-ctx.Done():
		cause = ctx.Err()
	case <-c.stopped:
		// Another Close has given up: no answer comes any more.
	}
	var err error
	if !isClosed(idle) {
		err = &Error{Op: "close", Code: api.Code_TIMED_OUT, Message: "operations are unanswered; their outcome is unknown", cause: cause}
	}
	c.stop.Do(func() { close(c.stopped) })
	c.driver.Stop()
	c.network.Close()
	return err
}

// request is an operation to be carried out.
type request struct {
	// op says what is asked for, in errors.
	op string
	// bytes of records.
	bytes int
	// start begins the operation in the core.
	start func(timeout env.Time, done func(core.Result))
	// call is what the history says of it; nil if it has no word for it.
	call func() histories.Call
	// process that acts in the history; nil is any.
	process *process
}

// pending is an operation under way.
type pending struct {
	client *Client
	op     string
	// answered is closed when result is there.
	answered chan struct{}
	result   core.Result
}

// begin starts an operation in the core, once there is room.
func (c *Client) begin(ctx context.Context, q request) (*pending, error) {
	if err := c.admit(ctx, q); err != nil {
		return nil, err
	}
	p := &pending{client: c, op: q.op, answered: make(chan struct{})}
	event := c.config.History.invoke(q)
	done := func(r core.Result) {
		event.end(r)
		p.result = r
		close(p.answered)
		// Last: Close goes on when all room is free.
		if q.bytes > 0 {
			c.budget.release(q.bytes)
		}
	}
	if !c.driver.Post(func() { q.start(c.timeout(ctx), done) }) {
		done(core.Result{Err: api.Errorf(api.Code_SHUTTING_DOWN, "the client is closed"), Definite: true})
		return nil, unsent(q.op, ErrClosed)
	}
	return p, nil
}

// admit waits until there is room for an operation. Only records take any.
func (c *Client) admit(ctx context.Context, q request) error {
	if err := ctx.Err(); err != nil {
		return unsent(q.op, err)
	}
	if q.bytes == 0 {
		if c.budget.isClosed() {
			return unsent(q.op, ErrClosed)
		}
		return nil
	}
	switch err := c.budget.acquire(ctx, q.bytes); {
	case err == nil:
		return nil
	case errors.Is(err, ErrClosed):
		return unsent(q.op, err)
	default:
		return crowded(q.op, err)
	}
}

// verdict is how much before a context's deadline the core's operation ends, so
// that the core's word on whether it surely did not happen comes first.
const verdict = 20 * time.Millisecond

// timeout of the core's operation.
func (c *Client) timeout(ctx context.Context) env.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return duration(c.config.Timeout)
	}
	left := time.Until(deadline)
	return max(1, duration(left-min(verdict, left/8)))
}

// wait gives the result. Without one the outcome is unknown.
func (p *pending) wait(ctx context.Context) (core.Result, error) {
	select {
	case <-p.answered:
	case <-ctx.Done():
	case <-p.client.stopped:
	}
	// An answer that is there counts, whatever else happened.
	if p.over() {
		return p.result, errorOf(p.op, ctx, p.result)
	}
	return core.Result{}, unanswered(p.op, ctx)
}

// over reports whether the result is there.
func (p *pending) over() bool { return isClosed(p.answered) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// do carries an operation out.
func (c *Client) do(ctx context.Context, q request) (core.Result, error) {
	p, err := c.begin(ctx, q)
	if err != nil {
		return core.Result{}, err
	}
	return p.wait(ctx)
}
