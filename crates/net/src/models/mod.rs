//! Networks of the text, each as short as the table that describes it.

mod simple_convnet;

pub use simple_convnet::SimpleConvNet;
