{
  # node-gyp rebuild -- -Dsanitize=address   (then LD_PRELOAD the matching libasan into node)
  'variables': { 'sanitize%': '' },
  'targets': [
    {
      'target_name': 'handover',
      'dependencies': ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api"],
      # The second: a worker that is terminated inside a call of ours can be thrown nothing, and that is not fatal.
      'defines': ['NAPI_VERSION=8', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      'cflags_cc': ['-std=c++17', '-Wall', '-Wextra', '-fvisibility=hidden'],
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
      'xcode_settings': {
        'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
        'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
        'OTHER_CPLUSPLUSFLAGS': ['-Wall', '-Wextra'],
      },
      # What the addon wraps (pidfd, memfd seals, SO_COOKIE) is Linux's own. Elsewhere it builds to an empty module.
      'sources': ['native/module.cc'],
      'conditions': [
        ["OS=='linux'", {
          'sources': [
            'native/arguments.cc',
            'native/bind_descriptor.cc',
            'native/bind_epoll.cc',
            'native/bind_process.cc',
            'native/bind_rendezvous.cc',
            'native/bind_socket.cc',
            'native/bind_spawn.cc',
            'native/posix_descriptor.cc',
            'native/posix_epoll.cc',
            'native/posix_listen.cc',
            'native/posix_memory.cc',
            'native/posix_message.cc',
            'native/posix_notify.cc',
            'native/posix_process.cc',
            'native/posix_rendezvous.cc',
            'native/posix_socket.cc',
            'native/posix_spawn.cc',
            'native/posix_tcp.cc',
            'native/posix_user.cc',
            'native/watcher.cc',
          ],
        }],
        ["sanitize!=''", {
          'cflags_cc': ['-fsanitize=<(sanitize)', '-fno-omit-frame-pointer', '-g', '-O1'],
          'ldflags': ['-fsanitize=<(sanitize)'],
        }],
      ],
    },
  ],
}
