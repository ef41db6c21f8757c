// Package rpc is the real env.Network, over gRPC: Network for a node, with its
// clients and its peers, and ClientNetwork for a client.
//
// A client has one stream with each node it talks to, and that stream is the link
// of the contract: in order, or broken. The node knows it by a made-up name. Two
// nodes have two streams, one for each direction, that each opens; a node's own
// requests to another travel there like all else, and so do the answers. A single
// Call is a link of its own that breaks when the caller gives up.
//
// Send encodes and queues, so it never waits. One goroutine a stream empties the
// queue, as much at a time as has gathered; so the busier a link, the larger and
// fewer its writes. Several messages encoded one by one and put end to end are,
// in protobuf, one message with a longer list: that is all there is to batching.
//
// A link may begin with an authentication (Guard); whoever is let in is held to the ACLs,
// request by request. Beyond that, of what kind a message is and whether it wants an
// answer, the package looks into none, and it retries nothing.
package rpc

import (
	"strings"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that is wrapped here
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
)

// Bounds of a link.
const (
	// MaxMessage is the size in bytes of the largest message that can be sent. A
	// link that is asked to carry a larger one breaks.
	MaxMessage = 32 << 20
	// maxWrite is how much of a queue goes into one write, beyond its first message.
	maxWrite = 1 << 20
	// maxReceive is the largest write there can be.
	maxReceive = MaxMessage + maxWrite
	// maxQueued is what may wait to be sent; a link that is asked to hold more breaks.
	maxQueued = 128 << 20
	// pauseQueued is what may wait to be sent to a client before the node takes no
	// further request from it.
	pauseQueued = 8 << 20
	// maxPending is how many requests of a client may wait for their answers; the
	// next is answered OVERLOADED.
	maxPending = 4096
	// maxClients is how many clients' links and single calls a node has at a time.
	maxClients = 16384
	// maxDialed is how many links a process opens.
	maxDialed = 1024
	// maxConnections is how many connections of clients and peers a node has at a time.
	maxConnections = maxClients + maxDialed
	// maxStreams is how many links and calls a connection carries at a time. Ours carry one;
	// of others' calls the next waits for its turn where it is made.
	maxStreams = 128
	// maxHeaders bounds the headers of a link or call, in bytes.
	maxHeaders = 16 << 10
)

// Times of a link.
const (
	// dialTimeout is how long a link may take to come up. After one that took longer the next
	// may take twice as long, up to maxDialTimeout.
	dialTimeout    = 2 * time.Second
	maxDialTimeout = 10 * time.Second
	// retryMin and retryMax bound the pause before a node dials a peer again; it
	// doubles with each failure, and ends when the peer itself calls.
	retryMin = 50 * time.Millisecond
	retryMax = time.Second
	// idleTime is how long a link without traffic stays up, at least, and a connection
	// without a link.
	idleTime = time.Minute
	// drainTime is how long Close waits for clients to take their last answers.
	drainTime = time.Second
	// handshakeTime is how long a connection may take to speak HTTP/2.
	handshakeTime = 5 * time.Second
	// aliveTime is the silence after which a connection is probed, aliveTimeout
	// how long the probe, or any byte sent, may go unanswered.
	aliveTime    = 10 * time.Second
	aliveTimeout = 3 * time.Second
)

// Buffers of a connection, in bytes.
const (
	windowSize = 16 << 20
	bufferSize = 256 << 10
)

// clientPrefix begins the names of clients' links. No address begins so: it has no
// port.
const clientPrefix = "client/"

func isClient(e env.Endpoint) bool { return strings.HasPrefix(string(e), clientPrefix) }

// Inbox takes what comes for a process; osenv.Driver is one.
type Inbox interface {
	// Receive brings a message that holds about size bytes. It may wait; it
	// reports false if the process has ended.
	Receive(from env.Endpoint, m *api.Message, size int) bool
	// Lost says that a link broke. It must not wait.
	Lost(peer env.Endpoint)
}

// Credentials secure the connections. The zero value is plain text.
type Credentials struct {
	// Server is for connections accepted, Client for those opened.
	Server, Client credentials.TransportCredentials
	// Login is who a client says it is, over a connection that these have secured; nil says
	// nothing.
	Login Login
}

func (c Credentials) server() grpc.ServerOption {
	if c.Server == nil {
		return grpc.Creds(insecure.NewCredentials())
	}
	return grpc.Creds(c.Server)
}

func (c Credentials) client() grpc.DialOption {
	if c.Client == nil {
		return grpc.WithTransportCredentials(insecure.NewCredentials())
	}
	return grpc.WithTransportCredentials(c.Client)
}

func serverOptions(c Credentials, meet tap.ServerInHandle) []grpc.ServerOption {
	return []grpc.ServerOption{
		c.server(),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.InTapHandle(meet),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.InitialWindowSize(windowSize),
		grpc.InitialConnWindowSize(windowSize),
		grpc.ReadBufferSize(bufferSize),
		grpc.WriteBufferSize(bufferSize),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTime, Time: aliveTime, Timeout: aliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: aliveTime / 2, PermitWithoutStream: true}),
	}
}

func dialOptions(c Credentials) []grpc.DialOption {
	return []grpc.DialOption{
		c.client(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec()), grpc.MaxCallRecvMsgSize(maxReceive)),
		grpc.WithInitialWindowSize(windowSize),
		grpc.WithInitialConnWindowSize(windowSize),
		grpc.WithReadBufferSize(bufferSize),
		grpc.WithWriteBufferSize(bufferSize),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: aliveTime, Timeout: aliveTimeout}),
		grpc.WithNoProxy(),
	}
}

// encoded is a message in bytes already.
type encoded mem.BufferSlice

// codec is gRPC's for protobuf, but that it lets encoded messages through.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Marshal encodes what is not encoded yet.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(encoded); ok {
		return mem.BufferSlice(e), nil
	}
	return c.CodecV2.Marshal(v)
}

// wantsAnswer says whether a request is ever answered.
func wantsAnswer(q *api.Request) bool {
	p := q.GetProduce()
	return p == nil || p.Acks != api.Acks_NONE
}

// weight is about how many bytes a request holds: what it took on its way, and what it
// takes beside that.
func weight(q *api.Request) int {
	const without = 256
	return without + proto.Size(q)
}

// mustEncode is what an encoding gave. It cannot fail but for text that is not
// UTF-8: whoever puts text of others into a message has checked it.
func mustEncode(b []byte, err error) []byte {
	if err != nil {
		panic("rpc: message cannot be encoded")
	}
	return b
}
