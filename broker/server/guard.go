package server

import (
	"sync/atomic"
	"time"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/rpc"
)

// published is users and ACLs as the node has applied them, for the goroutines of the
// network. Only the node's driver changes it.
type published struct {
	view atomic.Pointer[access.View]
}

// look publishes what the node knows, if that has changed.
func (p *published) look(n *broker.Node) {
	version, ok := n.AccessVersion()
	if last := p.view.Load(); ok && (last == nil || last.Version != version) {
		view := n.Access()
		p.view.Store(&view)
	}
}

// publishing is the network of a node that publishes what it knows before an answer leaves:
// whoever is told that a permission is gone finds it gone.
type publishing struct {
	env.Network
	server *Server
}

// Send is part of env.Network.
func (p publishing) Send(to env.Endpoint, m *api.Message) {
	if m.GetResponse() != nil {
		p.server.access.look(p.server.node.Node)
	}
	p.Network.Send(to, m)
}

const (
	// confirmTime is how long whoever is denied something may wait until it is sure.
	confirmTime = time.Second
	// reportPause is between two lines of the log about who is not let in: strangers may
	// not fill a disk.
	reportPause = time.Second
)

// guard puts up who is let in.
func (s *Server) guard(auth Auth) error {
	var last atomic.Int64
	return s.network.GuardBy(rpc.Guard{
		Required: auth.Required, SuperUsers: auth.SuperUsers, PeerSecret: auth.PeerSecret,
		View: s.access.view.Load, Confirm: s.confirm,
		Report: func(what, who, why string) {
			now, before := time.Now().UnixNano(), last.Load()
			if now-before > reportPause.Nanoseconds() && last.CompareAndSwap(before, now) {
				s.log.Warn(what, "who", who, "why", why)
			}
		},
	})
}

// confirm waits until what is published is as new as the call.
func (s *Server) confirm() *api.Error {
	done := make(chan *api.Error, 1)
	posted := s.driver.Post(func() {
		s.node.ConfirmAccess(func(err *api.Error) {
			s.access.look(s.node.Node)
			done <- err
		})
	})
	late := time.NewTimer(confirmTime)
	defer late.Stop()
	if posted {
		select {
		case err := <-done:
			return err
		case <-late.C:
		}
	}
	return api.Errorf(api.Code_META_UNAVAILABLE, "the node cannot tell in time who may do what; retry after a pause")
}
