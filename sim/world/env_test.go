package world

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/env/envtest"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/digest"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/prng"
)

type unwatched struct{}

func (unwatched) Called(env.Endpoint, disk.Operation)           {}
func (unwatched) Durable(env.Endpoint, disk.Operation)          {}
func (unwatched) Sent(env.Endpoint, env.Endpoint, *api.Message) {}
func (unwatched) Delivered(env.Endpoint, env.Endpoint, []byte)  {}
func (unwatched) CutOff(env.Endpoint, env.Endpoint)             {}
func (unwatched) Returned(env.Endpoint)                         {}

// testWorld lets the conformance suite run on a simulated world.
type testWorld struct {
	*World
	t     *testing.T
	hosts int
}

type testHost struct {
	*Host
	world *testWorld
}

func newTestWorld(t *testing.T, seed uint64, profile netsim.Profile) *testWorld {
	w := &testWorld{World: New(seed, profile, digest.New(nil), unwatched{}), t: t}
	w.Failed = func(h *Host, what string) { t.Fatalf("%s panicked: %s", h.Name, what) }
	t.Cleanup(w.Close)
	return w
}

func (w *testWorld) host(start envtest.Start, client bool) envtest.Host {
	w.hosts++
	name := env.Endpoint(fmt.Sprintf("h%d", w.hosts))
	h := &testHost{w.Host(name, Config{Disk: disk.Normal, Client: client, LateIn: 3, LateMax: env.Millisecond}), w}
	h.begin(start)
	return h
}

func (w *testWorld) Node(start envtest.Start) envtest.Host   { return w.host(start, false) }
func (w *testWorld) Client(start envtest.Start) envtest.Host { return w.host(start, true) }
func (w *testWorld) Nowhere() env.Endpoint                   { return "nowhere" }

func (w *testWorld) Until(done func() bool) bool {
	w.Run(w.Agenda.Now()+1000*env.Second, done)
	return done()
}

func (h *testHost) begin(start envtest.Start) {
	h.Start(func(p Place) env.Process { return start(p.Clock, p.Disk, p.Network) })
}

func (h *testHost) Address() env.Endpoint {
	if h.config.Client {
		return ""
	}
	return h.Name
}

func (h *testHost) Do(f func()) {
	done := false
	h.After = func() { done = true }
	h.call(h.life, func(env.Process) { f() })
	h.world.Until(func() bool { return done })
}

func (h *testHost) Stop() { h.Crash(disk.Crash{Lose: 30, Mix: 40, Tear: 50}) }

func (h *testHost) Restart(start envtest.Start) {
	h.Stop()
	h.begin(start)
}

// The simulated world is as good as the real one.
func TestConformance(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			envtest.Run(t, func(t *testing.T) envtest.World {
				return newTestWorld(t, prng.Hash(seed), netsim.Profile{
					Latency: netsim.Time(200 * env.Microsecond), Jitter: netsim.Time(env.Millisecond),
					Loss: 50_000, Duplicate: 0, Reorder: 100_000, ReorderLimit: netsim.Time(20 * env.Millisecond),
					HalfOpen: 200_000, HalfOpenLimit: netsim.Time(env.Second),
				})
			})
		})
	}
}
