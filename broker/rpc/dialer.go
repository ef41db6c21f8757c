package rpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
)

// stream is a link as the one who opened it sees it.
type stream interface {
	// SendMsg sends an encoded message.
	SendMsg(message any) error
	// receive hands on what comes, until the stream ends.
	receive(from env.Endpoint, used func())
}

// dialer opens links when there is something to send, and says when they break.
type dialer struct {
	inbox   Inbox
	options []grpc.DialOption
	// open opens a stream on a connection that is up.
	open func(context.Context, *grpc.ClientConn) (stream, error)
	// pauses says whether a link that broke is opened again only after a pause.
	pauses bool

	running sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	links   map[env.Endpoint]*link   // at most maxDialed
	refused map[env.Endpoint]refusal // at most maxDialed
}

// refusal is why nothing is sent to an endpoint: it could not be reached.
type refusal struct {
	pause time.Duration
	until time.Time
}

// send queues an encoded message for an endpoint, or says that it is lost.
func (d *dialer) send(to env.Endpoint, piece []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.links[to]
	if l == nil {
		l = d.dial(to)
	}
	if l == nil {
		d.inbox.Lost(to)
		return
	}
	l.used.Store(true)
	l.out.put(piece)
}

// dial begins a link; nil if that cannot be now.
func (d *dialer) dial(to env.Endpoint) *link {
	if d.closed || len(d.links) >= maxDialed || time.Now().Before(d.refused[to].until) {
		return nil
	}
	l := &link{dialer: d, to: to, out: newOutbox()}
	d.links[to] = l
	d.running.Go(l.run)
	return l
}

// calls says that an endpoint is there: whatever was wrong with it is over.
func (d *dialer) calls(from env.Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.refused, from)
}

// end takes a link away and says so. The next message dials again: after a pause,
// if the dialer makes them.
func (d *dialer) end(l *link, opened bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.links, l.to)
	if d.pauses {
		d.refuse(l.to, opened)
	}
	d.inbox.Lost(l.to)
}

func (d *dialer) refuse(to env.Endpoint, opened bool) {
	now := time.Now()
	pause := min(2*d.refused[to].pause, retryMax)
	if opened || pause == 0 {
		pause = retryMin
	}
	if len(d.refused) >= maxDialed {
		for e, r := range d.refused {
			if r.until.Before(now) {
				delete(d.refused, e)
			}
		}
	}
	if len(d.refused) < maxDialed {
		d.refused[to] = refusal{pause: pause, until: now.Add(pause)}
	}
}

// close breaks every link and waits for their ends.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	for _, l := range d.links {
		l.out.abort()
	}
	d.mu.Unlock()
	d.running.Wait()
}

// passthrough has an address dialled as it is.
const passthrough = "passthrough:///"

// link is one stream that this process opened, from the first message for an
// endpoint until it breaks.
type link struct {
	dialer *dialer
	to     env.Endpoint
	out    *outbox
	used   atomic.Bool // since the last look
}

func (l *link) run() {
	opened := l.talk()
	l.out.abort()
	l.dialer.end(l, opened)
}

// talk carries messages until the link breaks or the outbox is aborted; it
// reports whether the link came up.
func (l *link) talk() bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conn, err := grpc.NewClient(passthrough+string(l.to), l.dialer.options...)
	if err != nil {
		return false
	}
	defer conn.Close()
	go l.watch(cancel)
	late := time.AfterFunc(dialTimeout, cancel)
	s, err := l.dialer.open(ctx, conn)
	if !late.Stop() || err != nil {
		return false
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = l.out.pump(s.SendMsg) // whatever the reason, the link is broken
		cancel()
	}()
	s.receive(l.to, func() { l.used.Store(true) })
	l.out.abort()
	<-sent
	return true
}

// watch breaks a link that nobody uses, and ends the stream of one that is broken.
func (l *link) watch(cancel func()) {
	tick := time.NewTicker(idleTime)
	defer tick.Stop()
	for {
		select {
		case <-l.out.done:
			cancel()
			return
		case <-tick.C:
			if !l.used.Swap(false) {
				l.out.abort()
			}
		}
	}
}
