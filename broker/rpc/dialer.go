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
	// CloseSend says that nothing more is sent: the other end has all of it when it ends the
	// stream. An error says that it will not.
	CloseSend() error
	// receive hands on what comes, until the stream ends.
	receive(from env.Endpoint, used func())
}

// dialer opens links when there is something to send, and says when they break.
type dialer struct {
	inbox   Inbox
	options []grpc.DialOption
	// open opens a stream on a connection that is up.
	open func(context.Context, *grpc.ClientConn) (stream, error)
	// patience is how long a link may take to come up that had no trouble before.
	patience time.Duration
	// pauses says whether a link that broke is opened again only after a pause.
	pauses bool

	running  sync.WaitGroup
	mu       sync.Mutex
	closed   bool
	links    map[env.Endpoint]*link   // at most maxDialed
	troubles map[env.Endpoint]trouble // at most maxDialed
}

// trouble is what the last link with an endpoint says about the next.
type trouble struct {
	// patience is how long it may take to come up.
	patience time.Duration
	// pause is how long nothing is sent: until then.
	pause time.Duration
	until time.Time
}

// send queues an encoded message for an endpoint, or says that it is lost. One that is last
// heard of when it is sent is awaited by close.
func (d *dialer) send(to env.Endpoint, piece []byte, last bool) {
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
	l.awaited = l.awaited || last
	l.out.put(piece)
}

// dial begins a link; nil if that cannot be now.
func (d *dialer) dial(to env.Endpoint) *link {
	last := d.troubles[to]
	if d.closed || len(d.links) >= maxDialed || d.pauses && time.Now().Before(last.until) {
		return nil
	}
	l := &link{dialer: d, to: to, out: newOutbox(), patience: max(d.patience, last.patience)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	d.links[to] = l
	d.running.Go(l.run)
	return l
}

// calls says that an endpoint is there: whatever was wrong with it is over.
func (d *dialer) calls(from env.Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.troubles, from)
}

// end takes a link away and says so. The next message dials again: after a pause,
// if the dialer makes them.
func (d *dialer) end(l *link) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.links, l.to)
	d.remember(l)
	d.inbox.Lost(l.to)
}

// remember keeps what a link that has ended says about the next. One that was up only for a
// moment was refused by the other end, which is no better than one that did not come up.
func (d *dialer) remember(l *link) {
	now := time.Now()
	next := d.troubles[l.to]
	switch {
	case l.lasted > retryMax:
		next = trouble{}
	case l.late:
		next.patience = min(2*l.patience, maxDialTimeout)
	}
	next.pause = min(max(retryMin, 2*next.pause), retryMax)
	next.until = now.Add(next.pause)
	if len(d.troubles) >= maxDialed {
		for e, t := range d.troubles {
			if t.until.Before(now) {
				delete(d.troubles, e)
			}
		}
	}
	if len(d.troubles) < maxDialed {
		d.troubles[l.to] = next
	}
}

// close breaks every link and waits for their ends. What is awaited is sent first, if that
// does not take long.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	for _, l := range d.links {
		if l.awaited {
			l.out.finish()
		} else {
			l.out.abort()
		}
	}
	d.mu.Unlock()
	late := time.AfterFunc(drainTime, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, l := range d.links {
			l.out.abort()
			l.cancel()
		}
	})
	defer late.Stop()
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
	ctx    context.Context
	cancel func()
	used   atomic.Bool // since the last look
	// awaited: it carries what nobody hears of again.
	awaited bool
	// patience is how long it may take to come up, and late says that it took longer.
	patience time.Duration
	late     bool
	// lasted is how long it was up.
	lasted time.Duration
}

func (l *link) run() {
	l.talk()
	l.out.abort()
	l.dialer.end(l)
}

// talk carries messages until the link breaks or the outbox is aborted.
func (l *link) talk() {
	defer l.cancel()
	conn, err := grpc.NewClient(passthrough+string(l.to), l.dialer.options...)
	if err != nil {
		return
	}
	defer conn.Close()
	go l.watch()
	late := time.AfterFunc(l.patience, l.cancel)
	s, err := l.dialer.open(l.ctx, conn)
	if l.late = !late.Stop(); l.late || err != nil {
		return
	}
	began := time.Now()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if l.out.pump(s.SendMsg) != nil || !l.out.drained() || s.CloseSend() != nil {
			l.cancel() // whatever the reason, the link is broken
		}
	}()
	s.receive(l.to, func() { l.used.Store(true) })
	l.lasted = time.Since(began)
	l.out.abort()
	<-sent
}

// watch breaks a link that nobody uses, and ends the stream of one that is broken.
func (l *link) watch() {
	tick := time.NewTicker(idleTime)
	defer tick.Stop()
	for {
		select {
		case <-l.out.done:
			if !l.out.drained() {
				l.cancel()
			}
			return
		case <-tick.C:
			if !l.used.Swap(false) {
				l.out.abort()
			}
		}
	}
}
