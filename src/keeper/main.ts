/** The keeper's process. Started by a supervisor, never by hand. */
import { CHANNEL_VARIABLE, Control } from '../runtime/control.js'
import { Keeper } from './keeper.js'

const { control } = await Control.connect(Number(process.env[CHANNEL_VARIABLE]), 'keeper')
new Keeper(control, () => process.exit(1))
