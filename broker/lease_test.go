package broker_test

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/prng"
)

// tenant is a member as a careful client keeps it: it reads what it was last told to keep,
// until its session has passed since it asked.
type tenant struct {
	cluster *cluster
	random  *prng.Stream
	token   string
	now     *api.MembershipResponse // nil: no member
	until   env.Time
	// The request under way, 0 if none is, when it was sent and whether it gives something
	// up.
	asked uint64
	at    env.Time
	// It is away, and asks nothing, until then.
	away env.Time
}

const tenancy = 3 * env.Second

// reads lists what the member reads now.
func (m *tenant) reads() []*api.GroupPartition {
	if m.now == nil || m.cluster.world.Agenda.Now() >= m.until {
		return nil
	}
	return m.now.GetKeeps()
}

// step hears what was answered and asks again, of any node.
func (m *tenant) step() {
	c, now := m.cluster, m.cluster.world.Agenda.Now()
	if r := c.client.answers[m.asked]; m.asked != 0 && r != nil {
		m.asked = 0
		switch heard := r.GetMembership(); {
		case heard != nil:
			m.now, m.until = heard, m.at+tenancy
		case r.GetError().GetCode() == api.Code_UNKNOWN_MEMBER:
			m.now, m.token = nil, m.token+"x"
		}
	}
	if m.asked != 0 && now-m.at > env.Second {
		m.asked = 0 // it has taken too long; whatever comes of it is not heard
	}
	if m.asked != 0 || now < m.away {
		return
	}
	if m.random.Chance(1, 100) {
		m.away = now + env.Time(m.random.Below(6))*env.Second
	}
	q := join(m.token, func(q *api.JoinGroupRequest) { q.SessionMs, q.RebalanceMs = int64(tenancy/env.Millisecond), 4000 })
	if m.now != nil {
		given := m.now.GetGives()
		if m.random.Chance(1, 2) {
			given = nil // it has not stopped yet
		}
		q = beating(m.now, given...)()
	}
	c.client.last++
	q.Id, m.asked, m.at = c.client.last, c.client.last, now
	to := three[m.random.Below(3)]
	c.client.network.Send(to, &api.Message{Body: &api.Message_Request{Request: q}})
}

// Whatever happens to nodes and members, no two members read a partition at one time.
func TestNoTwoMembersReadAPartition(t *testing.T) {
	for seed := range uint64(8) {
		c := grouped(t, 60+seed, 5)
		random := prng.New(seed)
		var all []*tenant
		for i := range 4 {
			all = append(all, &tenant{cluster: c, random: random, token: fmt.Sprint(i)})
		}
		read, heal := 0, func() {}
		troubled := false
		for range 2400 {
			for _, m := range all {
				m.step()
			}
			c.run(25 * env.Millisecond)
			readers := make(map[int32]*tenant)
			for _, m := range all {
				for _, p := range m.reads() {
					read++
					if other := readers[p.GetPartition()]; other != nil {
						t.Fatalf("seed %d, at %d ms: members %d and %d both read partition %d", seed, c.world.Agenda.Now()/env.Millisecond,
							other.now.GetMember(), m.now.GetMember(), p.GetPartition())
					}
					readers[p.GetPartition()] = m
				}
			}
			if random.Chance(1, 80) {
				if troubled = !troubled; troubled {
					heal = disturb(c, random)
				} else {
					heal()
				}
			}
		}
		if read < 2400 {
			t.Errorf("seed %d: partitions were read %d times in 2400 looks: the test shows little", seed, read)
		}
		c.expectFine()
	}
}

// disturb ends, pauses or cuts off a node from the others, not from clients. What it gives
// makes that good.
func disturb(c *cluster, random *prng.Stream) (heal func()) {
	at := random.Below(3)
	name, others := three[at], []string{string(three[(at+1)%3]), string(three[(at+2)%3])}
	switch random.Below(4) {
	case 0:
		c.hosts[name].Pause()
		return c.hosts[name].Resume
	case 1:
		c.hosts[name].Crash(disk.Crash{Lose: 100})
		return func() { c.start(name, func(*broker.Config) {}) }
	default:
		c.world.StartFault(1, netsim.Fault{Sides: netsim.Isolate(string(name), others), OneWay: random.Chance(1, 2), Cut: true})
		return func() { c.world.HealFault(1) }
	}
}
