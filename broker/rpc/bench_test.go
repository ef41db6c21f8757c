package rpc

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/osenv"
)

// still does nothing at any event.
type still struct{}

func (still) Wake()                                    {}
func (still) Synced(env.Ticket, error)                 {}
func (still) Loaded(env.Ticket, []byte, error)         {}
func (still) Listed(env.Ticket, []env.FileInfo, error) {}
func (still) Receive(env.Endpoint, *api.Message)       {}
func (still) Lost(env.Endpoint)                        {}
func (still) Flush()                                   {}

// echo answers every request as soon as it comes.
type echo struct {
	still
	network env.Network
}

func (e *echo) Receive(from env.Endpoint, m *api.Message) {
	e.network.Send(from, &api.Message{Body: &api.Message_Response{Response: &api.Response{
		Id: m.GetRequest().GetId(), Body: &api.Response_Produce{Produce: &api.ProduceResponse{BaseOffset: 1}},
	}}})
}

// flood keeps requests in the air until all were sent and answered.
type flood struct {
	still
	network        env.Network
	to             env.Endpoint
	batch          []byte
	sent, answered int
	total          int
	done           chan struct{}
}

func (f *flood) send() {
	if f.sent == f.total {
		return
	}
	f.sent++
	f.network.Send(f.to, &api.Message{Body: &api.Message_Request{Request: &api.Request{
		Id: uint64(f.sent), Body: &api.Request_Produce{Produce: &api.ProduceRequest{
			Topic: &api.TopicRef{Id: 7}, Partition: 1, Batch: f.batch}},
	}}})
}

func (f *flood) Receive(env.Endpoint, *api.Message) {
	f.answered++
	f.send()
	if f.answered == f.total {
		close(f.done)
	}
}

// serveEcho runs a node that echoes.
func serveEcho(b testing.TB) env.Endpoint {
	l := listen(b, "127.0.0.1:0")
	driver := osenv.NewDriver()
	network := NewNetwork(env.Endpoint(l.Addr().String()), driver, Credentials{})
	driver.Start(&echo{network: network})
	go network.Serve(l)
	b.Cleanup(func() {
		network.Close()
		driver.Stop()
	})
	return env.Endpoint(l.Addr().String())
}

// BenchmarkLink is requests and their answers over one link, from process to
// process: both drivers, both encodings, gRPC.
func BenchmarkLink(b *testing.B) {
	for _, size := range []int{100, 1024, 65536} {
		for _, air := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("bytes=%d/air=%d", size, air), func(b *testing.B) {
				to := serveEcho(b)
				driver := osenv.NewDriver()
				network := NewClientNetwork(driver, Credentials{})
				f := &flood{network: network, to: to, batch: make([]byte, size), total: b.N, done: make(chan struct{})}
				driver.Start(f)
				b.SetBytes(int64(size))
				b.ResetTimer()
				driver.Post(func() {
					for range air {
						f.send()
					}
				})
				<-f.done
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
				b.StopTimer()
				network.Close()
				driver.Stop()
			})
		}
	}
}
