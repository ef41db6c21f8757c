package rpc

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/osenv"
)

// persistent keeps a few requests in the air whatever happens. Each is answered,
// or the link is lost after it: else it stops for ever, and the test sees that.
type persistent struct {
	still
	t        *testing.T
	network  env.Network
	clock    env.Clock
	to       env.Endpoint
	last     uint64
	air      map[uint64]bool
	answered atomic.Int64
}

const persistentAir = 16

func (p *persistent) Wake() {
	for len(p.air) < persistentAir {
		p.last++
		p.air[p.last] = true
		p.network.Send(p.to, requestMessage(produce(p.last, api.Acks_ALL)))
	}
}

func (p *persistent) Receive(_ env.Endpoint, m *api.Message) {
	delete(p.air, m.GetResponse().Id)
	p.answered.Add(1)
	p.Wake()
}

func (p *persistent) Lost(env.Endpoint) {
	clear(p.air)
	p.clock.WakeAt(p.clock.Now() + 5*env.Millisecond)
}

func TestClientsOutliveRestarts(t *testing.T) {
	const clients, restarts = 4, 3
	address := world{t}.Nowhere()
	run := func() (stop func()) {
		driver := osenv.NewDriver()
		network := NewNetwork(address, driver, Credentials{})
		driver.Start(&echo{network: network})
		l := listen(t, string(address))
		go network.Serve(l)
		return func() { network.Close(); driver.Stop() }
	}
	var all []*persistent
	for range clients {
		driver := osenv.NewDriver()
		network := NewClientNetwork(driver, Credentials{})
		p := &persistent{t: t, network: network, clock: driver.Clock(), to: address, air: make(map[uint64]bool)}
		driver.Start(p)
		driver.Do(p.Wake)
		all = append(all, p)
		t.Cleanup(func() { network.Close(); driver.Stop() })
	}
	for range restarts {
		stop := run()
		for i, p := range all {
			goal := p.answered.Load() + 100
			if !until(func() bool { return p.answered.Load() >= goal }) {
				t.Errorf("client %d is stuck", i)
			}
		}
		stop()
		time.Sleep(10 * time.Millisecond)
	}
}
