import t from 'tap';
t.pass('the test runner runs');
