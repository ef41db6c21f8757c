// Package grpc stands for the library.
package grpc
