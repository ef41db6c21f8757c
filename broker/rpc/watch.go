package rpc

import (
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// Answered is a request of a client, and how it went.
type Answered struct {
	// Client is the node's name for the link, and Request the number of the request there.
	Client  env.Endpoint
	Request uint64
	// Kind is the field of api.Request that it fills, such as "produce".
	Kind string
	// Code of the answer.
	Code api.Code
	// Took is the time from its arrival to its answer; of this it asked the node to wait
	// up to Patience.
	Took, Patience time.Duration
}

// watch measures the requests of a link.
type watch struct {
	observer func(Answered)
	client   env.Endpoint

	mu    sync.Mutex
	begun map[uint64]begun // by the numbers of requests; at most maxPending
}

type begun struct {
	at       time.Time
	kind     string
	patience time.Duration
}

func (w *watch) begin(q *api.Request) {
	if w.observer == nil || !wantsAnswer(q) {
		return
	}
	m := q.ProtoReflect()
	b := begun{at: time.Now(), patience: time.Duration(q.GetFetch().GetMaxWaitMs()) * time.Millisecond}
	if field := m.WhichOneof(m.Descriptor().Oneofs().Get(0)); field != nil {
		b.kind = string(field.Name())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun == nil {
		w.begun = make(map[uint64]begun)
	}
	w.begun[q.GetId()] = b
}

func (w *watch) end(r *api.Response) {
	if w.observer == nil {
		return
	}
	w.mu.Lock()
	b, known := w.begun[r.GetId()]
	delete(w.begun, r.GetId())
	w.mu.Unlock()
	if known {
		w.observer(Answered{
			Client: w.client, Request: r.GetId(), Kind: b.kind, Code: r.GetError().GetCode(),
			Took: time.Since(b.at), Patience: b.patience,
		})
	}
}
