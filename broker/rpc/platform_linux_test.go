package rpc

import (
	"net"
	"syscall"
	"testing"
)

// What gRPC sets where it finds a bare connection is set behind the listener too.
func TestAcceptedConnectionsGiveUp(t *testing.T) {
	l := newListener(listen(t, "127.0.0.1:0"), 1, func() {})
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	raw, err := ours.(*accepted).Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var after int
	raw.Control(func(fd uintptr) { after, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) })
	if err != nil || after != int(aliveTimeout.Milliseconds()) {
		t.Errorf("it gives up after %d ms: %v", after, err)
	}
}
