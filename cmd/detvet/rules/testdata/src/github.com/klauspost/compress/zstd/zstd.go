// Package zstd stands for the library.
package zstd
